r"""Derivatives of the results of iterations, by the implicit function theorem.

Where ``x`` solves ``r(x; theta) = 0``, its derivative is ``dx/dtheta = -H^-1 dr/dtheta`` with ``H = dr/dx``, whatever
iteration found it. For a minimizer, ``r`` is the gradient and ``H`` the Hessian. It is symmetric, so linear systems
with one matrix give products with the derivative (forward mode) and with its transpose (reverse mode).

All functions here work with ``torch.autograd``, with forward-mode differentiation and under ``torch.func`` (``jvp``,
``vjp``, ``jacfwd``, ``jacrev``, ``vmap``). Tensors that a computation depends on are therefore arguments of
`torch.autograd.Function`, never captured by a closure: transforms could not see them there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from gradprox.networks.linear_systems import conjugate_gradients

MAX_LINEAR_STEPS = 1000
# Number of samples of an image up to which its Hessian may be computed as a matrix.
DENSE_LIMIT = 1024

# Returns the minimizers for images (B, C, H, W) and noise levels (1,) or (B,).
Minimize = Callable[[Tensor, Tensor], Tensor]


class Inverse(Protocol):
    """Multiplies with the inverse Hessian at a minimizer."""

    def __call__(self, right: Tensor, solution: Tensor, sigma: Tensor) -> Tensor:
        """Return ``H^-1 right``, of shape ``(B, C, H, W)``, where ``H`` is the Hessian at ``solution``."""


def minimizer(minimize: Minimize, y: Tensor, sigma: Tensor) -> Tensor:
    """Return ``minimize(y, sigma)`` as a constant: no kind of differentiation follows the iterations."""
    solution: Tensor = _Minimizer.apply(y.detach(), sigma.detach(), minimize)
    return solution.detach()


def implicit_derivative(residual: Tensor, solution: Tensor, sigma: Tensor, inverse: Inverse) -> Tensor:
    """Return zero, with the derivative ``-H^-1`` with respect to the residual that vanishes at a solution.

    Args:
        residual: ``r`` at the solution, recorded with respect to everything but the solution.
        solution: the solution, a constant, ``(B, C, H, W)``.
        sigma: noise levels, ``(1,)`` or ``(B,)``.
        inverse: multiplies with ``H^-1``.

    Raises:
        NotImplementedError: in the derivative, if it is differentiated again with respect to images, noise levels or
            weights. It may be differentiated with respect to the vector that it is multiplied with.
    """
    zero: Tensor = _Implicit.apply(residual, solution, sigma.detach(), inverse)
    return zero


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


class _Minimizer(torch.autograd.Function):
    """The result of iterations, without a derivative."""

    @staticmethod
    def forward(y: Tensor, sigma: Tensor, minimize: Minimize) -> Tensor:
        return minimize(y, sigma)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: Any, in_dims: Sequence[int | None], y: Tensor, sigma: Tensor, minimize: Minimize
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        folded, levels = _folded(y, in_dims[0], size), _folded_levels(sigma, in_dims[1], size, y, in_dims[0])
        return _unfolded(_Minimizer.apply(folded, levels, minimize), size), 0


class _Implicit(torch.autograd.Function):
    """Zero, with the derivative ``-H^-1`` with respect to the residual that vanishes at a solution."""

    @staticmethod
    def forward(residual: Tensor, solution: Tensor, sigma: Tensor, inverse: Inverse) -> Tensor:  # noqa: ARG004
        return torch.zeros_like(residual)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        residual, solution, sigma, ctx.inverse = inputs
        ctx.save_for_backward(residual, solution, sigma)
        ctx.save_for_forward(residual, solution, sigma)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        residual, solution, sigma = ctx.saved_tensors
        return (
            -_SelfAdjoint.apply(gradients[0], solution, sigma, _Last.apply(residual), ctx.inverse),
            None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        _, solution, sigma = ctx.saved_tensors
        return -_SelfAdjoint.apply(tangents[0], solution, sigma, None, ctx.inverse)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Sequence[int | None],
        residual: Tensor,
        solution: Tensor,
        sigma: Tensor,
        inverse: Inverse,
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        levels = _folded_levels(sigma, in_dims[2], size, solution, in_dims[1])
        folded = (_folded(x, dim, size) for x, dim in zip((residual, solution), in_dims, strict=False))
        return _unfolded(_Implicit.apply(*folded, levels, inverse), size), 0


class _SelfAdjoint(torch.autograd.Function):
    """The symmetric linear map ``H^-1`` applied to ``v``: its derivative with respect to ``v`` is itself."""

    @staticmethod
    def forward(
        v: Tensor,
        solution: Tensor,
        sigma: Tensor,
        residual: Tensor | None,  # noqa: ARG004  its derivative is refused
        inverse: Inverse,
    ) -> Tensor:
        return inverse(v, solution, sigma)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        _, solution, sigma, residual, ctx.inverse = inputs
        ctx.marked = residual is not None
        ctx.save_for_backward(solution, sigma)
        ctx.save_for_forward(solution, sigma)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        solution, sigma = ctx.saved_tensors
        product = _SelfAdjoint.apply(gradients[0], solution, sigma, None, ctx.inverse)
        # The residual's share is a placeholder: passing it on raises the error of `_Last`.
        return product, None, None, torch.zeros_like(solution) if ctx.marked else None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        solution, sigma = ctx.saved_tensors
        return _SelfAdjoint.apply(tangents[0], solution, sigma, None, ctx.inverse)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Sequence[int | None],
        v: Tensor,
        solution: Tensor,
        sigma: Tensor,
        residual: Tensor | None,
        inverse: Inverse,
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        if in_dims[1] is None and in_dims[2] is None and in_dims[3] is None:
            # Many vectors at one solution, as for whole Jacobians: one after the other, with one recorded Hessian.
            parts = [v] * size if in_dims[0] is None else v.movedim(in_dims[0], 0)
            return torch.stack([_SelfAdjoint.apply(w, solution, sigma, residual, inverse) for w in parts]), 0
        levels = _folded_levels(sigma, in_dims[2], size, solution, in_dims[1])
        folded = (_folded(x, dim, size) for x, dim in zip((v, solution), in_dims, strict=False))
        marker = None if residual is None else _folded(residual, in_dims[3], size)
        return _unfolded(_SelfAdjoint.apply(*folded, levels, marker, inverse), size), 0


class _Last(torch.autograd.Function):
    """The identity; differentiating it is refused, because it would ignore how the Hessian changes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual: Tensor) -> Tensor:
        return residual.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None: ...

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise NotImplementedError(NO_SECOND_DERIVATIVE)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        raise NotImplementedError(NO_SECOND_DERIVATIVE)


NO_SECOND_DERIVATIVE = (
    "an equilibrium has first derivatives only: its derivative cannot be differentiated again with respect to images, "
    "noise levels or weights"
)


def _folded(x: Tensor, dim: int | None, size: int) -> Tensor:
    """Move a mapped dimension of ``(B, ...)`` into the batch: ``(size * B, ...)``."""
    mapped = x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
    return mapped.flatten(0, 1)


def _folded_levels(
    sigma: Tensor, dim: int | None, size: int, images: Tensor, images_dim: int | None
) -> Tensor:
    """Return noise levels ``(size * B,)`` for images folded by `_folded`; one level for all stays one."""
    if dim is None and len(sigma) == 1:
        return sigma
    mapped = sigma.expand(size, *sigma.shape) if dim is None else sigma.movedim(dim, 0)
    batch = (images if images_dim is None else images.select(images_dim, 0)).shape[0]
    return mapped.expand(size, batch).flatten()


def _unfolded(x: Tensor, size: int) -> Tensor:
    """Undo `_folded`, with the mapped dimension first."""
    return x.unflatten(0, (size, -1))
