r"""Derivatives of the results of iterations, by the implicit function theorem.

Where ``x`` solves ``r(x; theta) = 0``, its derivative is ``dx/dtheta = -H^-1 dr/dtheta`` with ``H = dr/dx``, whatever
iteration found it. For a minimizer, ``r`` is the gradient and ``H`` the Hessian. It is symmetric, so linear systems
with one matrix give products with the derivative (forward mode) and with its transpose (reverse mode).

This module solves the linear systems; `implicit_functions` connects them with torch's automatic differentiation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.networks.linear_systems import conjugate_gradients

MAX_LINEAR_STEPS = 1000
# Number of samples of an image up to which its Hessian may be computed as a matrix.
DENSE_LIMIT = 1024


@dataclass
class WarmStart:
    """Results of the last solve of the same images, from which the next one starts.

    Attributes:
        solution: ``D(x)``, ``(B, C, H, W)``; None before the first solve.
        derivative: the solution of the linear systems behind its derivatives, of that shape; None before the first.
    """

    solution: Tensor | None = None
    derivative: Tensor | None = None


class InverseHessian:
    """Solves with a symmetric positive definite ``A``, each image of ``(B, ...)`` by itself.

    It uses conjugate gradients. Once these have taken as many products as the matrix of ``A`` has columns, as for
    whole Jacobians of small images, it computes that matrix and uses its Cholesky factor.

    Args:
        apply: multiplies with ``A``.
        tolerance: of the relative residuals.
        warm: where the solves start, and where they leave their results; None: they start at zero.
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
            # Without the check for positive definiteness: one image of NaN must not stop the others.
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


class InverseHessianAt:
    """Multiplies with the inverse Hessian at a solution; see `implicit_functions.Inverse`.

    Args:
        hessian: returns, for a solution and noise levels, a function that multiplies with the Hessian there.
        tolerance: relative residual of the linear systems.
        warm: see `InverseHessian`.
    """

    def __init__(
        self,
        hessian: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]],
        tolerance: float,
        warm: WarmStart | None,
    ) -> None:
        self._hessian = hessian
        self._tolerance = tolerance
        self._warm = warm
        self._known: tuple[Tensor, InverseHessian] | None = None

    def __call__(self, right: Tensor, solution: Tensor, sigma: Tensor) -> Tensor:
        """See `implicit_functions.Inverse`."""
        # The Hessian is recorded once for all vectors that it is multiplied with.
        known = None if self._known is None else self._known[0]
        if known is None or (known.data_ptr(), known.shape) != (solution.data_ptr(), solution.shape):
            product = self._hessian(solution, sigma)
            self._known = solution, InverseHessian(product, self._tolerance, self._warm)
        assert self._known is not None  # noqa: S101  set above
        return self._known[1](right)
