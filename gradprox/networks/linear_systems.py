"""Linear systems too large to write down, one per image."""

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
    """Solve ``operator(x) = right`` from ``start``, each image until its own residual is small.

    deepinv's `conjugate_gradient` stops when the whole batch has, so that images would depend on their neighbors.

    Args:
        operator: symmetric and positive definite, of ``(B, ...)``, each image by itself.
        right: what it is to give.
        start: a first guess; none is zero, and saves a product.
        tolerance: of the residual, relative to ``right``.
        steps: at most so many.

    Returns:
        ``x``, and which images have a small residual, ``(B,)``. Images that are not numbers have none.
    """
    x, residual = (torch.zeros_like(right), right) if start is None else (start, right - operator(start))
    direction, energy = residual, image_sum(residual.square())
    enough = tolerance**2 * image_sum(right.square())
    for _ in range(steps):
        moving = ~(energy <= enough)  # what is not a number must show in x
        if not bool((moving & ~energy.isnan()).any()):
            break
        image = operator(direction)
        length = per_image(torch.where(moving, energy / image_sum(direction * image), 0), x)
        x, residual = x + length * direction, residual - length * image
        before, energy = energy, image_sum(residual.square())
        direction = residual + per_image(torch.where(moving, energy / before, 0), x) * direction
    # Also of an image that had no step to show it.
    return torch.where(per_image(energy.isnan(), x), torch.nan, x), energy <= enough
