"""Checks of a map by evaluation: against its derivative, its potential and its prox property."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]

# Step of central differences in double precision. For a denoiser the unit is the noise level, because its kinks are
# about that far apart; for another map the unit is that of images in [0, 1].
STEP = 1e-5


def derivative_defect(
    operator: Map, jacobian_product: Map, x: Tensor, directions: list[Tensor], scale: float = 1.0
) -> float:
    """Return the largest relative distance between central differences of step ``STEP * scale`` and ``J v``.

    It is large for a map with steps, such as a quantized one, because automatic differentiation ignores steps.
    """
    worst, step = 0.0, STEP * scale
    for v in directions:
        with torch.no_grad():
            difference = (operator(x + step * v) - operator(x - step * v)) / (2 * step)
        product = jacobian_product(v)
        size = max(float(torch.linalg.vector_norm(w)) for w in (difference, product))
        distance = float(torch.linalg.vector_norm(difference - product))
        worst = max(worst, distance / size if size else 0.0)
    return worst


def potential_defect(operator: Map, potential: Map, x: Tensor) -> float:
    """Return ``|D(x) - grad Phi(x)| / |D(x)|``, with the gradient by automatic differentiation."""
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(potential(x).sum(), x)
    with torch.no_grad():
        y = operator(x)
        scale = torch.maximum(torch.linalg.vector_norm(y), torch.linalg.vector_norm(gradient))
        return float(torch.linalg.vector_norm(y - gradient) / scale.clamp_min(torch.finfo(y.dtype).tiny))


def prox_margin(operator: Map, potential: Map, y: Tensor, starts: list[Tensor], steps: int = 10) -> float:
    r"""Return the relative margin by which ``D(y)`` beats the best competitor found in the prox problem at ``y``.

    Every point ``D(u)`` has a known value ``phi(D(u)) = <u, D(u)> - |D(u)|^2/2 - Phi(u)``. There the prox objective
    ``|. - y|^2/2 + phi`` exceeds its value at ``D(y)`` by ``Phi(y) - Phi(u) - <D(u), y - u>``. This excess is
    nonnegative for all ``u`` if and only if ``Phi`` is convex with gradient ``D``. The competitors are the starts and
    the points that gradient descent on the excess finds from them.

    Args:
        operator: ``D``.
        potential: ``Phi``, from ``(1, ...)`` to ``(1,)``.
        y: the point.
        starts: the first competitors ``u``.
        steps: number of gradient steps; each is a tenth of the distance to ``y`` long.

    Returns:
        The smallest relative margin; negative where a competitor wins.
    """
    with torch.no_grad():
        at_y = potential(y)
    worst = float("inf")
    for start in starts:
        u = start
        for _ in range(steps + 1):
            u = u.detach().requires_grad_()
            at_u, inner = potential(u), (operator(u) * (y - u)).sum()
            excess = (at_y - at_u).sum() - inner
            scale = at_y.abs().sum() + at_u.abs().sum() + inner.abs()
            margin = float((excess / scale.clamp_min(torch.finfo(y.dtype).tiny)).detach())
            worst = min(worst, margin)
            (gradient,) = torch.autograd.grad(excess, u)
            length = torch.linalg.vector_norm(gradient)
            if not bool(length > 0):
                break
            distance = torch.linalg.vector_norm(u.detach() - y)
            u = u.detach() - 0.1 * distance / length * gradient
    return worst
