"""Initial mixture components, fitted to the training images by expectation maximization.

Filter coefficients at random positions of noisy images are modeled as draws from a mixture of Gaussians of mean zero.
Expectation maximization estimates the variances of the components, noise included, and their probabilities (Dempster,
Laird and Rubin, J. R. Stat. Soc. B 39, 1977). A component and its mirror image share their parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradprox.networks import IdentityPath
from gradprox.networks.denoisers.mixture import HierarchicalMixture
from gradprox.training.stored_images import on_unit_scale

# Least noise level of the fit, for images in [0, 1]; images with more noise raise it. It is in the middle of the noise
# levels that networks are trained for.
NOISE = 15 / 255
SAMPLES = 100_000
ROUNDS = 20
# Samples that are processed at once, to bound memory.
CHUNK = 20_000
# Number of samples of pure noise added to every component. They regularize components that no sample belongs to.
NOISE_SAMPLES = 5
# Least standard deviation of coefficients without noise.
LEAST_DEVIATION = 0.5 / 255
LEAST_PROBABILITY = 1e-6


@torch.no_grad()
def fit_components(
    network: IdentityPath, images: Sequence[Tensor], seed: int, levels: Sequence[float] = ()
) -> None:
    """Set the mixture components of a network.

    Args:
        network: its shrinkage is a mixture; its filters are used as they are.
        images: ``(C, H, W)``, with the network's channels, see `gradprox.training.stored_images`.
        seed: seed of the noise and the positions.
        levels: noise levels of the images; they are clean if not given.
    """
    levels = levels or [0.0] * len(images)
    noise = max([NOISE, *levels])
    shrinkage = network.shrinkage
    assert isinstance(shrinkage, HierarchicalMixture)  # noqa: S101  the caller's duty
    energies = _coefficients(network, images, seed, levels, noise).square()
    variances = _first_guess(energies, shrinkage, noise)
    log_probabilities = torch.full((len(variances[0]),), -math.log(2 * len(variances[0])))
    for _ in range(ROUNDS):
        rows = shrinkage.mirrored(variances[None])[0]
        total, count = torch.zeros_like(rows), torch.zeros(len(rows))
        for part in energies.split(CHUNK):
            scores = log_probabilities.repeat(2) - (part @ (1 / rows).T + rows.log().sum(dim=1)) / 2
            posterior = scores.softmax(dim=1)
            total += posterior.T @ part
            count += posterior.sum(dim=0)
        count = count.view(2, -1).sum(dim=0)
        variances = shrinkage.folded(total) + NOISE_SAMPLES * noise**2
        variances = variances / (count[:, None] + NOISE_SAMPLES)
        log_probabilities = (count / count.sum() / 2).clamp_min(LEAST_PROBABILITY).log()
    shrinkage.fit((variances - noise**2).clamp_min(LEAST_DEVIATION**2), log_probabilities)


def _coefficients(
    network: IdentityPath, images: Sequence[Tensor], seed: int, levels: Sequence[float], noise: float
) -> Tensor:
    """Return noisy coefficients at random positions, ``(N, C)``; their noise has the standard deviation ``noise``."""
    generator = torch.Generator().manual_seed(seed)
    filters, each = network.bank.filters(), math.ceil(SAMPLES / len(images))
    drawn = []
    for image, level in zip(images, levels, strict=True):
        clean = on_unit_scale(image)[None]
        noisy = clean + math.sqrt(noise**2 - level**2) * torch.randn(clean.shape, generator=generator)
        z = network.bank.analyze(noisy, filters)[0].flatten(1)
        drawn.append(z[:, torch.randint(z.shape[1], (each,), generator=generator)].T)
    return torch.cat(drawn) / network.shrinkage.noise_gain


def _first_guess(energies: Tensor, shrinkage: HierarchicalMixture, noise: float) -> Tensor:
    """Return initial variances, ``(2, K, pairs)``, of components ordered from low to high contrast.

    Each is the mean of two estimates: the variances of eight samples of similar contrast, and those of all samples
    scaled to that contrast.
    """
    _, count, _ = shrinkage.log_variances.shape
    contrast = energies.mean(dim=1)
    ranked = contrast.argsort()[torch.linspace(0, len(energies) - 1, 8 * count).long()].view(count, 8)
    own, usual = energies[ranked].mean(dim=1), energies.mean(dim=0)
    rows = own / 2 + usual * (contrast[ranked].mean(dim=1, keepdim=True) / contrast.mean()) / 2
    return shrinkage.folded(torch.cat([rows, torch.zeros_like(rows)])).clamp_min(noise**2)
