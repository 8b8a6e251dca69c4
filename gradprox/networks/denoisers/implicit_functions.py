r"""Differentiation through the results of iterations: the functions that torch's transforms see.

The mathematics is that of `implicit`. All functions work with ``torch.autograd``, with forward-mode differentiation and
under ``torch.func`` (``jvp``, ``vjp``, ``jacfwd``, ``jacrev``, ``vmap``). Tensors that a computation depends on are
therefore arguments of `torch.autograd.Function`. A closure must not capture them, because transforms could not see them
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

NO_SECOND_DERIVATIVE = (
    "an equilibrium has first derivatives only: its derivative cannot be differentiated again with respect to images, "
    "noise levels or weights"
)

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
