r"""The inverse of a learned prox, and with it the value of its function at any image.

``D = grad Phi`` with ``Phi`` convex, so ``D(y) = x`` holds where ``y`` minimizes ``Phi(y) - <x, y>``: a convex problem
with the gradient ``D(y) - x``. The smallest value is ``-Phi*(x)``, and ``phi(x) = Phi*(x) - |x|^2/2`` is the function
whose prox is ``D`` (Gribonval and Nikolova, J. Math. Imaging Vis. 2020). Every ``y`` gives a lower bound,

    phi(x) >= <x, y> - Phi(y) - |x|^2/2,

with equality at ``D(y) = x`` and an error of second order in ``D(y) - x`` near it. An ``x`` outside the range of ``D``
has no inverse, and ``phi(x)`` may be infinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.priors.contract import Sigma
from gradprox.priors.learned_prox import LearnedProx

# Pairs of steps and gradient differences that the limited-memory method keeps.
MEMORY = 12
MAX_BACKTRACKS = 30


@dataclass(frozen=True)
class Inverse:
    """The result of `invert`.

    Attributes:
        y: images with ``D(y)`` close to ``x``, shaped like ``x``.
        residual: ``|D(y) - x| / |x|`` of each image, ``(B,)``.
        converged: whether the residual reached the tolerance, ``(B,)``.
        steps: number of steps made.
        value: proven lower bound of ``phi(x)``, ``(B,)``; equal to it, to second order, where converged.
    """

    y: Tensor
    residual: Tensor
    converged: Tensor
    steps: int
    value: Tensor


@torch.no_grad()
def invert(prior: LearnedProx, x: Tensor, sigma: Sigma, *, tol: float = 1e-6, max_iter: int = 500) -> Inverse:
    """Find ``y`` with ``D(y) = x`` by limited-memory BFGS, separately for each image.

    Args:
        prior: the learned prox.
        x: images ``(B, C, H, W)``; double precision reaches tolerances that single precision cannot.
        sigma: noise level, as in `LearnedProx.forward`.
        tol: tolerance of ``|D(y) - x| / |x|``.
        max_iter: step budget.

    Raises:
        ValueError: the tolerance or the budget is not positive.
    """
    if not tol > 0 or max_iter < 1:
        raise ValueError(f"tol and max_iter must be positive, got {tol:g} and {max_iter}")
    size = _norm(x).clamp_min(torch.finfo(x.dtype).tiny)
    y = x
    gradient, energy, rounding = _evaluate(prior, x, y, sigma)
    pairs: list[tuple[Tensor, Tensor]] = []
    moving = _norm(gradient) > tol * size
    steps = 0
    while steps < max_iter and bool(moving.any()):
        steps += 1
        direction = _direction(gradient, pairs)
        slope = _inner(gradient, direction)
        step = moving.to(x.dtype)
        waiting = moving
        for _ in range(MAX_BACKTRACKS):
            trial = y + per_image(step, x) * direction
            new_gradient, new_energy, new_rounding = _evaluate(prior, x, trial, sigma)
            # Approximate Wolfe conditions (Hager and Zhang, SIAM J. Optim. 2005): near the minimum differences of
            # energies are all rounding, and slopes are not.
            descends = new_energy <= energy + torch.maximum(rounding, new_rounding)
            waiting = moving & ~(descends & (_inner(new_gradient, direction) <= -0.8 * slope))
            if not bool(waiting.any()):
                break
            step = torch.where(waiting, step / 3, step)
        # An image whose search failed keeps its place and takes no further step.
        moving = moving & ~waiting
        keep = per_image(moving, x)
        pairs.append((torch.where(keep, trial - y, 0), torch.where(keep, new_gradient - gradient, 0)))
        pairs = pairs[-MEMORY:]
        y = torch.where(keep, trial, y)
        gradient = torch.where(keep, new_gradient, gradient)
        energy = torch.where(moving, new_energy, energy)
        rounding = torch.where(moving, new_rounding, rounding)
        moving = moving & (_norm(gradient) > tol * size)
    residual = _norm(gradient) / size
    return Inverse(y, residual, residual <= tol, steps, -energy - image_sum(x * x) / 2)


def _evaluate(prior: LearnedProx, x: Tensor, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``D(y) - x``, ``Phi(y) - <x, y>`` and a bound of the rounding error of the latter."""
    d, envelope = prior.denoise_with_energy(y, sigma)
    square, inner = image_sum(y * y) / 2, image_sum(x * y)
    rounding = 10 * torch.finfo(y.dtype).eps * (square + envelope.abs() + inner.abs())
    return d - x, square - envelope - inner, rounding


def _direction(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the direction of the two-loop recursion, which leaves out pairs without positive curvature."""
    direction = -gradient
    used = []
    for s, d in reversed(pairs):
        curvature = _inner(s, d)
        inverse = torch.where(curvature > 0, 1 / curvature, 0)
        a = inverse * _inner(s, direction)
        direction = direction - per_image(a, gradient) * d
        used.append((s, d, a, inverse))
    if pairs:
        s, d = pairs[-1]
        scale = _inner(s, d) / _inner(d, d)
        # Without curvature in the last step no scale is known, and the gradient keeps its own.
        direction = direction * per_image(torch.where(scale > 0, scale, 1), gradient)
    for s, d, a, inverse in reversed(used):
        direction = direction + per_image(a - inverse * _inner(d, direction), gradient) * s
    return direction


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of each image, ``(B,)``, in the images' type."""
    return image_sum(a * b).to(a.dtype)


def _norm(a: Tensor) -> Tensor:
    return _inner(a, a).sqrt()
