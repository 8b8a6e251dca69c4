"""Is it symmetric, is it monotone, how Lipschitz is it, is it really a prox: measured and proven figures."""

from gradprox.certificates.certify import certify
from gradprox.certificates.jacobian import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.certificates.report import Certificate, Check

__all__ = ["Certificate", "Check", "certify", "dense_jacobian", "eigenvalue_range", "symmetry_defect"]
