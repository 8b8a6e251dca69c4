"""Certificates of operators: symmetric? monotone? how Lipschitz? a prox?

Begin with `certify`, which measures an operator at some points. `report` defines the certificate, which keeps three
kinds of statements apart: by construction, proven and measured. `jacobian` measures small Jacobians entry by entry,
`products` large ones by products. `consistency` compares an operator with its derivative and its potential.
"""

from gradprox.certificates.certify import certify
from gradprox.certificates.jacobian import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.certificates.report import ByConstruction, Certificate, Check, Measured, Proven

__all__ = [
    "ByConstruction",
    "Certificate",
    "Check",
    "Measured",
    "Proven",
    "certify",
    "dense_jacobian",
    "eigenvalue_range",
    "symmetry_defect",
]
