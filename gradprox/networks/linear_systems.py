"""Conjugate gradients for linear systems that are too large to store, one system per image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor | None = None,
    *,
    tolerance: float,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """Solve ``operator(x) = right`` by conjugate gradients; each image stops by its own residual.

    deepinv's `conjugate_gradient` stops the whole batch at once, so the result of one image depends on the others.

    Args:
        operator: a symmetric positive definite map of ``(B, ...)`` that treats images separately.
        right: the right-hand side, ``(B, ...)``.
        start: initial guess; zero if not given. Zero saves one application of the operator.
        tolerance: largest accepted norm of the residual, relative to the norm of ``right``.
        steps: largest number of steps.

    Returns:
        ``x``, and whether the residual of each image is within the tolerance, ``(B,)``. An image with a NaN residual
        is returned as NaN and counts as unsolved.
    """
    x, residual = (torch.zeros_like(right), right) if start is None else (start, right - operator(start))
    direction, energy = residual, image_sum(residual.square())
    enough = tolerance**2 * image_sum(right.square())
    for _ in range(steps):
        moving = ~(energy <= enough)  # true for NaN
        if not bool((moving & ~energy.isnan()).any()):
            break
        image = operator(direction)
        length = per_image(torch.where(moving, energy / image_sum(direction * image), 0), x)
        x, residual = x + length * direction, residual - length * image
        before, energy = energy, image_sum(residual.square())
        direction = residual + per_image(torch.where(moving, energy / before, 0), x) * direction
    # Return NaN for a NaN residual, even if no step was taken.
    return torch.where(per_image(energy.isnan(), x), torch.nan, x), energy <= enough
