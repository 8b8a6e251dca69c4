"""Validation: whole held-out images are denoised at fixed noise levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from deepinv.loss.metric import PSNR
from torch import Tensor

from gradprox.networks import GradientNetwork
from gradprox.physics import gaussian_noise
from gradprox.priors import prior_of


@torch.no_grad()
def validate(
    network: GradientNetwork, images: Sequence[Tensor], levels: Sequence[float], device: torch.device | str
) -> dict[str, float]:
    """Return the mean PSNR in dB of denoised images at each noise level, keyed by gray levels of 255.

    The noise of a level is the same at every call, so figures of different steps compare.

    Args:
        network: on ``device``.
        images: clean images ``(1, C, H, W)`` in ``[0, 1]``.
        levels: standard deviations of the noise.
        device: where to compute.
    """
    denoise, psnr = prior_of(network), PSNR()
    means = {}
    for level in levels:
        generator = torch.Generator().manual_seed(0)
        scores = []
        for image in images:
            noisy = image + gaussian_noise(image, level, generator)
            scores.append(float(psnr(denoise(noisy.to(device), level).cpu(), image)))
        means[f"{255 * level:g}"] = sum(scores) / len(scores)
    return means
