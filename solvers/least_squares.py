"""The data term ``f(x) = |A x - y|^2 / 2``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from deepinv.optim.linear import conjugate_gradient
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.errors import InputError
from gradprox.networks.base import image_sum
from gradprox.problems import squared_norm

# Conjugate gradients stop at this residual, relative to the right-hand side, or after so many iterations.
FIT_TOLERANCE = 1e-6
FIT_ITERATIONS = 40


@runtime_checkable
class HasRegularizedInverse(Protocol):
    """A physics that solves its regularised least-squares problem in closed form."""

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, or None where there is no closed form after all."""


@dataclass(frozen=True)
class LeastSquares:
    """``f(x) = |A x - y|^2 / 2`` of each picture in a batch.

    Attributes:
        y: measurements, batch first.
        physics: the linear operator ``A``.
        lipschitz: a proven upper bound of ``|A|^2``, the Lipschitz constant of ``grad f``.
    """

    y: Tensor
    physics: LinearPhysics
    lipschitz: float

    @classmethod
    def build(cls, y: Tensor, physics: LinearPhysics, lipschitz: float | None = None) -> LeastSquares:
        """Check the measurements; look up the norm where none is given.

        Raises:
            InputError: measurements that are not finite, a norm that is unknown or not positive.
        """
        if not bool(torch.isfinite(y).all()):
            raise InputError("the measurements contain NaN or infinite values")
        bound = squared_norm(physics) if lipschitz is None else float(lipschitz)
        if not 0 < bound < float("inf"):
            raise InputError(f"the Lipschitz constant of the data term must be positive, got {bound:g}")
        return cls(y, physics, bound)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f(x)``, ``(B,)`` in double precision, and ``A^T (A x - y)``."""
        misfit = self.physics.A(x) - self.y
        return image_sum(misfit.square()) / 2, self.physics.A_adjoint(misfit)

    def value(self, x: Tensor) -> Tensor:
        """Return ``f(x)``, ``(B,)``."""
        return image_sum((self.physics.A(x) - self.y).square()) / 2

    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:
        """Return ``argmin_x f(x) + weight |x - z|^2/2``.

        In closed form where the physics has one; else by conjugate gradients from ``start``, which lower this
        function from its value there whenever they stop.
        """
        if isinstance(self.physics, HasRegularizedInverse):
            closed = self.physics.regularized_inverse(z, self.y, weight)
            if closed is not None:
                return closed
        return conjugate_gradient(
            lambda x: self.physics.A_adjoint(self.physics.A(x)) + weight * x,
            self.physics.A_adjoint(self.y) + weight * z,
            max_iter=FIT_ITERATIONS,
            tol=FIT_TOLERANCE,
            init=start,
        )

    def splits(self) -> bool:
        """Say whether the physics treats every picture of a batch alike, so that `select` may drop some."""
        batch = self.y.shape[0]
        return batch == 1 or all(
            buffer.ndim < 4 or buffer.shape[0] != batch for buffer in self.physics.buffers()
        )

    def select(self, keep: Tensor) -> LeastSquares:
        """Return the data term of the pictures at indices ``keep``."""
        return replace(self, y=self.y[keep])
