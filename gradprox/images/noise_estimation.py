"""Estimation of the noise level of an image.

G. Chen, F. Zhu and P. A. Heng, An Efficient Statistical Method for Image Noise Level Estimation, ICCV 2015.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradprox.errors import InputError

SIDE = 8  # pixels per side of a patch, as in the paper
MOST_PATCHES = 1 << 16  # larger images are sampled
FEWEST_PATCHES = 4 * SIDE**2  # fewer give no usable covariance of SIDE^2 pixels


def estimate_noise(pixels: Tensor) -> float:
    """Estimate the standard deviation of the white Gaussian noise of an image, on the image's own scale.

    The patches of a clean image lie near a subspace. The smallest eigenvalues of the covariance of noisy patches
    therefore estimate the noise variance. The largest eigenvalues are discarded one by one until the mean of the rest
    equals their median; this mean is the estimate.

    Args:
        pixels: ``(1, C, H, W)``; the variances of the channels are averaged.

    Returns:
        The standard deviation, on the scale of the pixels.

    Raises:
        InputError: the image is too small.
    """
    return math.sqrt(sum(_variance(plane) for plane in pixels[0].double()) / pixels.shape[1])


def _variance(plane: Tensor) -> float:
    height, width = plane.shape
    stride = max(1, math.ceil(math.sqrt(height * width / MOST_PATCHES)))
    if min(height, width) >= SIDE:
        patches = plane.unfold(0, SIDE, stride).unfold(1, SIDE, stride).reshape(-1, SIDE**2)
    if min(height, width) < SIDE or len(patches) < FEWEST_PATCHES:
        raise InputError(f"{height}x{width} pixels are too few to estimate their noise: give the noise level")
    ascending = torch.linalg.eigvalsh(torch.cov(patches.T)).clamp_min(0)
    for count in range(SIDE**2, 1, -1):
        rest = ascending[:count]
        mean = rest.mean()
        if int((rest > mean).sum()) >= int((rest < mean).sum()):
            return float(mean)
    return float(ascending[0])
