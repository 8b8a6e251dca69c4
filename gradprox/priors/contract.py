"""The contract of priors: every solver is typed against `Prior`, and imports nothing else of this package.

A gradient network ``D = grad Phi`` always has the explicit energy ``R(y) = |y|^2/2 - Phi(y)``, with
``grad R(y) = y - D(y)``. Solvers that descend ``f + lambda_reg R`` need no more than that. Where ``D`` is monotone it
is also the prox of a function ``phi``, and proximal solvers may use it as such (`ProximalOperator`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

# A noise level on the scale of the images: a number, or a tensor of one value or of one per image.
Sigma = float | Tensor


@runtime_checkable
class Prior(Protocol):
    """A denoiser ``D`` with an explicit energy ``R``, where ``D(y) = y - grad R(y)``.

    `gradprox.priors.LearnedProx` and `gradprox.priors.GradientStepDenoiser` implement it. Images are ``(B, C, H, W)``.

    Attributes:
        name: the name in messages and reports.
        is_prox: whether ``D`` is the prox of a function, so that proximal solvers may use it. A solver that needs a
            prox refuses a prior without one before its first step.
    """

    name: str

    @property
    def is_prox(self) -> bool:
        """Whether ``D`` is the prox of a function."""

    def __call__(self, y: Tensor, sigma: Sigma) -> Tensor:
        """Return ``D(y)``, shaped like ``y``."""

    def denoise_with_energy(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Return ``D(y)`` and ``R(y)``, ``(B,)``, for little more than the cost of ``D(y)``."""

    def regularizer(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return ``R(x)``, ``(B,)``."""

    def regularizer_grad(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return ``grad R(x) = x - D(x)``."""

    def lipschitz_bound(self) -> float:
        """Return a proven upper bound of the Lipschitz constant of ``D``; infinite where none is proven."""

    def curvature_bound(self) -> float:
        """Return a proven upper bound of the eigenvalues of the Hessian of ``R``, which is ``I - J_D``.

        It is 1 for a monotone ``D``, and one more than `lipschitz_bound` for any other. Gradient descent on
        ``f + lambda_reg R`` descends for step sizes below ``2/(L_f + lambda_reg curvature_bound)``.
        """


@runtime_checkable
class ProximalOperator(Prior, Protocol):
    """A prior whose denoiser is the prox of a function ``phi``; ``R`` is then the Moreau envelope of ``phi``."""

    def value(self, y: Tensor, sigma: Sigma) -> Tensor:
        """Return ``phi(D(y))``, ``(B,)``."""

    def weak_convexity(self) -> float:
        """Return ``m >= 0`` such that ``phi + m |.|^2/2`` is convex."""
