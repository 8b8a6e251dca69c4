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

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.networks.tiling import tiles
from gradprox.priors.probing import probed_diagonal, root_with_error
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

    The probes are those of `gradprox.priors.probing`. ``J`` is symmetric, so a product is one backward pass. Every
    pixel is probed ``repeats`` times.

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
    root, error = torch.empty_like(y), torch.empty_like(y)
    windows = list(tiles(size, max(size) if halo is None else WINDOW))
    for done, tile in enumerate(windows):
        grown = tile.within(size, halo or 0)
        inner = tile.relative_to(grown)
        part = grown.of(y)
        product = _jacobian_product(denoise, part, level)
        estimates = [probed_diagonal(product, part, spacing, generator) for _ in range(repeats)]
        root_here, error_here = root_with_error(torch.stack(estimates))
        tile.of(root)[...] = inner.of(root_here)
        tile.of(error)[...] = inner.of(error_here)
        if report:
            report((done + 1) / len(windows))
    scale = level.view(-1, 1, 1, 1)
    return Uncertainty(scale * root, scale * error)


def _jacobian_product(
    denoise: Callable[[Tensor, Tensor], Tensor], y: Tensor, level: Tensor
) -> Callable[[Tensor], Tensor]:
    """Return ``v -> J_D(y) v`` from one recorded pass."""
    at = y.detach().clone().requires_grad_()
    with torch.enable_grad():
        x = denoise(at, level)
    return lambda v: torch.autograd.grad(x, at, v, retain_graph=True)[0]
