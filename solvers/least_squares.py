"""The data term ``f(x) = weight |A x - y|^2 / 2``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from gradprox.batch import image_dot
from gradprox.networks.linear_systems import conjugate_gradients
from gradprox.physics import LinearMap, SolvesFits, regularized_inverse
from gradprox.solvers.data_term import QuadraticDataTerm
from gradprox.solvers.rounding import norm, operator_factor, square_rounding
from gradprox.solvers.scalar import is_finite

# Conjugate gradients stop at this residual, relative to the right-hand side. A fit with a small weight amplifies it. In
# single precision, a tenth of this changes the restored images by less than 0.03 gray levels of 255.
FIT_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}
# They stop after this many iterations, too: a fit with a small weight would take thousands.
FIT_ITERATIONS = 40


L = TypeVar("L", bound="LeastSquares")


@dataclass(frozen=True)
class LeastSquares(QuadraticDataTerm):
    """``f(x) = weight |A x - y|^2 / 2`` of each image in a batch.

    Attributes:
        weight: 1 unless the data term is `deepinv.optim.L2` with a noise level.
    """

    weight: float = 1.0

    @property
    def squared_norm(self) -> float:
        """See `DataTerm.squared_norm`."""
        return self.lipschitz / self.weight

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f(x)``, ``(B,)`` in double precision, and ``weight A^T (A x - y)``."""
        misfit = self.physics.A(x) - self.y
        value = self.weight * image_dot(misfit, misfit) / 2
        return value, self.physics.A_adjoint(misfit if self.weight == 1 else self.weight * misfit)

    def value_of_measurements(self, u: Tensor) -> Tensor:
        """See `DataTerm.value_of_measurements`."""
        misfit = u - self.y
        return self.weight * image_dot(misfit, misfit) / 2

    def rounding(self, x: Tensor, value: Tensor) -> Tensor:
        """See `DataTerm.rounding`."""
        plain = value / self.weight
        misfit, measured = (2 * plain).sqrt(), norm(self.y).to(value)
        # Where the norm of A is unknown, A x is at most as long as y and the misfit together.
        bound = self.squared_norm
        applied = bound**0.5 * norm(x).to(value) if is_finite(bound) else measured + misfit
        shift = operator_factor(x) * (applied + measured)
        return self.weight * square_rounding(plain, misfit, shift, x)

    def dual_prox(self, u: Tensor, step: float) -> Tensor:
        """See `DataTerm.dual_prox`."""
        return (u - step * self.y) / (1 + step / self.weight)

    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:
        """Return ``argmin_x f(x) + weight |x - z|^2/2``.

        If the physics has no closed form, conjugate gradients run from ``start``. They lower this function from its
        value at ``start`` after any number of iterations.
        """
        relative = weight / self.weight
        closed = regularized_inverse(self.physics, z, self.y, relative)
        if closed is not None:
            return closed
        right = self.physics.A_adjoint(self.y) + relative * z
        return solved(self.physics, relative, right, start)

    def hessian(self, x: Tensor) -> Callable[[Tensor], Tensor]:  # noqa: ARG002
        """See `FittedDataTerm.hessian`: it is ``weight A^T A`` everywhere."""
        return lambda v: self.weight * self.physics.A_adjoint(self.physics.A(v))

    def select(self: L, keep: Tensor) -> L:
        """See `DataTerm.select`."""
        return replace(self, y=self.y[keep], physics=self._physics_of(keep))


def solved(
    physics: LinearMap, weight: float, right: Tensor, start: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the solution of ``(A^T W A + weight) x = right``, the normal equations of a fit.

    Args:
        physics: the forward operator ``A``.
        weight: of the images in the fit.
        right: the right-hand side, ``(B, C, H, W)``.
        start: the images at which conjugate gradients begin, unless the physics solves the equations itself.
        weights: the diagonal of ``W``, of the shape of the measurements; 1 if not given.
    """
    tolerance = FIT_TOLERANCE[right.dtype]
    if isinstance(physics, SolvesFits):
        return physics.solve_fit(right, weight, start, weights, tolerance)

    def operator(x: Tensor) -> Tensor:
        measured = physics.A(x)
        return physics.A_adjoint(measured if weights is None else weights * measured) + weight * x

    x, _ = conjugate_gradients(operator, right, start, tolerance=tolerance, steps=FIT_ITERATIONS)
    return x
