"""Hypotheses to start a mixture from: those that explain the training images best, by expectation maximization.

Coefficients of random places of images with noise are taken for draws from a mixture of Gaussians without mean, whose
variances, noise included, and probabilities are estimated (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39, 1977).
A hypothesis and its mirror image share them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradprox.networks import IdentityPath
from gradprox.networks.denoisers.mixture import MixtureShrinkage

# At this noise level, in the middle of those that networks are trained for, on the scale of images in [0, 1].
NOISE = 15 / 255
PLACES = 100_000
ROUNDS = 20
# Standard deviation that is left to coefficients which the noise hides.
LEAST_DEVIATION = 0.5 / 255


@torch.no_grad()
def fit_hypotheses(network: IdentityPath, images: Sequence[Tensor], seed: int) -> None:
    """Set the hypotheses of a mixture's lowest level.

    Args:
        network: of the mixture form; its filters are used as they are.
        images: ``(C, H, W)`` of 8 bits, of the network's channels.
        seed: of noise and places.
    """
    shrinkage = network.shrinkage
    assert isinstance(shrinkage, MixtureShrinkage)  # noqa: S101  what the form says
    energies = _coefficients(network, images, seed).square()
    variances = _first_guess(energies, shrinkage)
    log_chances = torch.full((len(variances[0]),), -math.log(2 * len(variances[0])))
    for _ in range(ROUNDS):
        rows = shrinkage.mirrored(variances[None], shrinkage.planes)[0]
        total, count = torch.zeros_like(rows), torch.zeros(len(rows))
        for part in energies.split(20_000):
            scores = log_chances.repeat(2) - (part @ (1 / rows).T + rows.log().sum(dim=1)) / 2
            shares = scores.softmax(dim=1)
            total += shares.T @ part
            count += shares.sum(dim=0)
        count = count.view(2, -1).sum(dim=0)
        # A few coefficients of noise alone keep what explains nothing from dividing by zero.
        variances = (shrinkage.folded(total) + 5 * NOISE**2) / (count[:, None] + 5)
        log_chances = (count / count.sum() / 2).clamp_min(1e-6).log()
    shrinkage.log_variances.copy_((variances - NOISE**2).clamp_min(LEAST_DEVIATION**2).log())
    shrinkage.offsets.copy_(log_chances.expand_as(shrinkage.offsets))


def _coefficients(network: IdentityPath, images: Sequence[Tensor], seed: int) -> Tensor:
    """Return coefficients of random places, ``(N, C)``, scaled so that noise has the level `NOISE` in them."""
    generator = torch.Generator().manual_seed(seed)
    filters, each = network.bank.filters(), math.ceil(PLACES / len(images))
    drawn = []
    for image in images:
        clean = image[None].float() / 255
        noisy = clean + NOISE * torch.randn(clean.shape, generator=generator)
        z = network.bank.analyze(noisy, filters)[0].flatten(1)
        drawn.append(z[:, torch.randint(z.shape[1], (each,), generator=generator)].T)
    return torch.cat(drawn) / network.shrinkage.noise_gain


def _first_guess(energies: Tensor, shrinkage: MixtureShrinkage) -> Tensor:
    """Return variances, ``(2, K, pairs)``, of hypotheses from low to high contrast.

    Each is halfway between a few places of that contrast and the average texture.
    """
    _, count, _ = shrinkage.log_variances.shape
    contrast = energies.mean(dim=1)
    ranked = contrast.argsort()[torch.linspace(0, len(energies) - 1, 8 * count).long()].view(count, 8)
    own, usual = energies[ranked].mean(dim=1), energies.mean(dim=0)
    rows = own / 2 + usual * (contrast[ranked].mean(dim=1, keepdim=True) / contrast.mean()) / 2
    return shrinkage.folded(torch.cat([rows, torch.zeros_like(rows)])).clamp_min(NOISE**2)
