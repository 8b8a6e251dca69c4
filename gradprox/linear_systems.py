"""Linear systems too large to write down, one a picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gradprox.networks.base import image_sum, per_picture


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor | None = None,
    *,
    tolerance: float,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """Solve ``operator(x) = right`` from ``start``, each picture until its own residual is small.

    deepinv's `conjugate_gradient` stops when the whole batch has, so that pictures would depend on their neighbours.

    Args:
        operator: symmetric and positive definite, of ``(B, ...)``, each picture by itself.
        right: what it is to give.
        start: a first guess; none is zero, and saves a product.
        tolerance: of the residual, relative to ``right``.
        steps: at most so many.

    Returns:
        ``x``, and which pictures have a small residual, ``(B,)``. Pictures that are not numbers have none.
    """
    x, residual = (torch.zeros_like(right), right) if start is None else (start, right - operator(start))
    direction, energy = residual, image_sum(residual.square())
    enough = tolerance**2 * image_sum(right.square())
    for _ in range(steps):
        moving = ~(energy <= enough)  # what is not a number must show in x
        if not bool((moving & ~energy.isnan()).any()):
            break
        image = operator(direction)
        length = per_picture(torch.where(moving, energy / image_sum(direction * image), 0), x)
        x, residual = x + length * direction, residual - length * image
        before, energy = energy, image_sum(residual.square())
        direction = residual + per_picture(torch.where(moving, energy / before, 0), x) * direction
    # Also of a picture that had no step to show it.
    return torch.where(per_picture(energy.isnan(), x), torch.nan, x), energy <= enough
