r"""The posterior standard deviation of each pixel, from the Jacobian of a denoiser.

Let the noise be Gaussian of level ``sigma``, and let ``D(y) = E[x | y]`` be the posterior mean. The derivative of
Tweedie's formula is the posterior covariance (Manor and Michaeli, ICLR 2024; Gribonval, IEEE Trans. Signal Process.
2011):

    Cov[x | y] = sigma^2 J_D(y).

The Jacobian of a monotone gradient network is symmetric and positive semidefinite by construction, as a covariance must
be. That of a model with an explicit energy only is symmetric, and negative estimates count as 0. Networks are trained
for the mean squared error, so they approximate the posterior mean. The deviations are exact where ``D`` is the
posterior mean itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.networks.tiling import tiles
from gradprox.seeds import seeded_generator

# Pixels per side of a window of a local denoiser: automatic differentiation keeps its activations in memory.
WINDOW = 256


@dataclass(frozen=True)
class Uncertainty:
    """Posterior standard deviations, and the error of their estimate.

    Attributes:
        deviation: standard deviation of each pixel, ``(B, C, H, W)``, in the units of the image.
        error: standard error of ``deviation`` from the random probes, of the same shape.
    """

    deviation: Tensor
    error: Tensor


def posterior_deviation(
    denoise: Callable[[Tensor, Tensor], Tensor],
    y: Tensor,
    sigma: float | Tensor,
    *,
    spacing: int = 4,
    repeats: int = 2,
    halo: int | None = None,
    seed: int = 0,
    report: Callable[[float], None] | None = None,
) -> Uncertainty:
    r"""Estimate ``sigma sqrt(diag J_D(y))`` by probing.

    A probe ``v`` has random signs on every ``spacing``-th pixel of one channel. There ``(v * J v)_i`` is ``J_ii`` plus
    ``sum_j v_i v_j J_ij`` over the other pixels of the probe. This sum has mean zero, and is small because ``J_ij``
    falls off with distance. ``J`` is symmetric, so ``J v`` is one backward pass. Every pixel is probed ``repeats``
    times.

    Args:
        denoise: ``D(y, sigma)`` with a symmetric Jacobian, for example a `LearnedProx`.
        y: images ``(B, C, H, W)``.
        sigma: noise level, one or ``B``.
        spacing: distance in pixels between the pixels of a probe; ``C spacing^2 repeats`` backward passes in all.
        repeats: probes of each pixel, at least 2.
        halo: the largest distance at which an input can change an output, where it is known (``network.radius``). The
            image is then processed in windows, with the same result, and memory does not grow with its size.
        seed: seed of the signs.
        report: called with the share of the work done.

    Raises:
        ValueError: fewer than 2 repeats, a spacing below 1, or a seed out of range.
    """
    if repeats < 2 or spacing < 1:
        raise ValueError(
            f"at least 2 repeats and a spacing of at least 1 are needed, got {repeats} and {spacing}"
        )
    level = torch.as_tensor(sigma, dtype=y.dtype, device=y.device).flatten()
    generator = seeded_generator(seed)
    size = y.shape[-2], y.shape[-1]
    mean, error = torch.empty_like(y), torch.empty_like(y)
    windows = list(tiles(size, max(size) if halo is None else WINDOW))
    for done, tile in enumerate(windows):
        grown = tile.within(size, halo or 0)
        inner = tile.relative_to(grown)
        diagonals = torch.stack(
            [_diagonal(denoise, grown.of(y), level, spacing, generator) for _ in range(repeats)]
        )
        mean_here, spread = diagonals.mean(dim=0), diagonals.std(dim=0)
        tile.of(mean)[...] = inner.of(mean_here)
        tile.of(error)[...] = inner.of(spread) / repeats**0.5
        if report:
            report((done + 1) / len(windows))
    # The diagonal of a positive semidefinite matrix is not negative, but its estimate may be.
    root = mean.clamp_min(0).sqrt()
    scale = level.view(-1, 1, 1, 1)
    # d sqrt(m) = dm / (2 sqrt(m)), as long as the estimate exceeds its error.
    return Uncertainty(scale * root, scale * error / (2 * root).clamp_min(error.sqrt()))


def _diagonal(
    denoise: Callable[[Tensor, Tensor], Tensor],
    y: Tensor,
    level: Tensor,
    spacing: int,
    generator: torch.Generator,
) -> Tensor:
    """Return one estimate of ``diag J_D(y)``."""
    at = y.detach().clone().requires_grad_()
    with torch.enable_grad():
        x = denoise(at, level)
    signs = (2 * torch.randint(2, y.shape, generator=generator) - 1).to(y)
    diagonal = torch.zeros_like(y)
    for mask in _lattices(y, spacing):
        probe = signs * mask
        (product,) = torch.autograd.grad(x, at, probe, retain_graph=True)
        diagonal += probe * product
    return diagonal


def _lattices(y: Tensor, spacing: int) -> Iterator[Tensor]:
    """Yield masks that together cover every sample once: one channel, every ``spacing``-th row and column."""
    starts = range(min(spacing, y.shape[2])), range(min(spacing, y.shape[3]))
    for channel, row, column in itertools.product(range(y.shape[1]), *starts):
        mask = torch.zeros_like(y)
        mask[:, channel, row::spacing, column::spacing] = 1
        yield mask
