"""Blurred photos with known kernels."""

from __future__ import annotations

import torch

from gradprox.images import EXAMPLE_IMAGE, read_image
from gradprox.physics import blur_of_images, gaussian_noise

NOISE = 0.01


def photo_of(kernel, channels=1, side=200, noise=NOISE):
    """Return the example, ``side`` pixels, blurred and noisy."""
    sharp = read_image(EXAMPLE_IMAGE).pixels[:, :channels, 30 : 30 + side, 30 : 30 + side]
    y = blur_of_images("valid", kernel, (side, side), channels).A(sharp)
    return y + gaussian_noise(y, noise, torch.Generator().manual_seed(0))


def shake():
    """Return a kernel that no family of few parameters has: an arc and a tail, ``(1, 1, 11, 11)``."""
    kernel = torch.zeros(1, 1, 11, 11)
    for row, column, weight in (
        *((2, c, 1.0) for c in range(2, 8)),
        *((r, 8, 1.5) for r in range(2, 9)),
        *((9, c, 0.7) for c in range(4, 9)),
    ):
        kernel[0, 0, row, column] = weight
    return kernel / kernel.sum()


def similarity(first, second):
    """Return the largest normalized correlation of two kernels over all shifts; 1 for the same kernel."""
    size = [sum(sides) for sides in zip(first.shape[-2:], second.shape[-2:], strict=True)]
    spectra = [torch.fft.rfft2(kernel.double(), s=size) for kernel in (first, second)]
    correlation = torch.fft.irfft2(spectra[0] * spectra[1].conj(), s=size)
    return float(correlation.max() / (first.double().norm() * second.double().norm()))
