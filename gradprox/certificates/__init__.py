"""Is it symmetric, is it monotone, how Lipschitz is it: measured figures."""

from gradprox.certificates.jacobian import dense_jacobian, eigenvalue_range, symmetry_defect

__all__ = ["dense_jacobian", "eigenvalue_range", "symmetry_defect"]
