r"""Derivatives of what iterations find, by the implicit function theorem.

Where ``x`` solves ``r(x; theta) = 0``, its derivative is ``dx/dtheta = -H^-1 dr/dtheta`` with ``H = dr/dx``, however
it was found. For minimizers ``r`` is the gradient and ``H`` the Hessian, symmetric: linear systems with one matrix give
products with the derivative and with its transpose.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradprox.networks.linear_systems import conjugate_gradients

MAX_LINEAR_STEPS = 1000
# Samples of an image up to which its Hessian may be written down.
DENSE_LIMIT = 1024


def implicit_derivative(residual: Tensor, inverse: Callable[[Tensor], Tensor]) -> Tensor:
    """Return zero, with the derivative ``-H^-1`` with respect to the residual that vanishes at a solution.

    Args:
        residual: ``r`` at the solution, recorded with respect to all but the solution.
        inverse: multiplies with ``H^-1``, symmetric.
    """
    zero: Tensor = _Implicit.apply(residual, inverse)
    return zero


@dataclass
class WarmStart:
    """Where the next solve of the same images starts: what the last one found, with weights that were a little other.

    Attributes:
        solution: ``D(x)``, ``(B, C, H, W)``; None before the first solve.
        derivative: the solution of the linear systems behind its derivatives, of that shape; None before the first.
    """

    solution: Tensor | None = None
    derivative: Tensor | None = None


class InverseHessian:
    """Solves with a symmetric positive definite ``A``, each image of ``(B, ...)`` by itself.

    By conjugate gradients; once these have cost as many products as writing ``A`` down would have, as for whole
    Jacobians of small images, by its Cholesky factor.

    Args:
        apply: multiplies with ``A``.
        tolerance: of the relative residuals.
        warm: where the solves start, and leave what they found; None: at zero.
    """

    def __init__(
        self, apply: Callable[[Tensor], Tensor], tolerance: float, warm: WarmStart | None = None
    ) -> None:
        self._apply = apply
        self._tolerance = tolerance
        self._warm = warm
        self._products = 0
        self._factor: Tensor | None = None

    @torch.no_grad()
    def __call__(self, right: Tensor) -> Tensor:
        """Return ``A^-1 right``, of shape ``(B, C, H, W)``.

        Warns:
            RuntimeWarning: an image is short of the tolerance after `MAX_LINEAR_STEPS` steps.
        """
        size = right[0].numel()
        if self._factor is None and size <= min(DENSE_LIMIT, self._products):
            units = torch.eye(size, dtype=right.dtype, device=right.device).view(size, 1, *right.shape[1:])
            columns = [self._apply(unit.expand_as(right)).flatten(1) for unit in units]
            # Without its check: an image that is not a number must not stop the others.
            self._factor = torch.linalg.cholesky_ex(torch.stack(columns, dim=2)).L
        if self._factor is None:
            before = None if self._warm is None else self._warm.derivative
            x, arrived = conjugate_gradients(
                self._counted, right, before, tolerance=self._tolerance, steps=MAX_LINEAR_STEPS
            )
            if self._warm is not None:
                self._warm.derivative = x
            if not bool((arrived | x.flatten(1).isnan().any(dim=1)).all()):
                warnings.warn(
                    f"a derivative is short of its tolerance after {MAX_LINEAR_STEPS} steps",
                    RuntimeWarning,
                    stacklevel=3,
                )
            return x
        return torch.cholesky_solve(right.flatten(1)[..., None], self._factor).view_as(right)

    def _counted(self, v: Tensor) -> Tensor:
        self._products += 1
        return self._apply(v)


class _Implicit(torch.autograd.Function):
    """Zero, with the derivative ``-H^-1`` with respect to the residual that vanishes at a solution."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, inverse: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.inverse = inverse
        return torch.zeros_like(residual)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -_SelfAdjoint.apply(gradients[0], ctx.inverse), None


class _SelfAdjoint(torch.autograd.Function):
    """A symmetric linear map, which is its own transposed derivative."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.linear = apply
        return apply(v)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _SelfAdjoint.apply(gradients[0], ctx.linear), None
