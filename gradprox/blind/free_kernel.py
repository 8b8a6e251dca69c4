"""A blur kernel of any shape, for camera shake: sharp edges and the kernel in turn, from coarse to fine.

Pan, Hu, Su and Yang, CVPR 2014, in the form of Anger, Facciolo and Delbracio (Image Processing On Line 2019), who
describe all of its parameters. Their threshold of small kernel values and their smallest weight of the prior suit
photos without noise; the values here were chosen on blurred photos of BSDS400 with noise of 2.55/255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from gradprox.blind.kernel_step import fitted_kernel, plausible_kernel
from gradprox.blind.periodic import periodic_extension
from gradprox.blind.sharp_edges import sharp_edges

# Sides shrink by this factor from scale to scale, down to a kernel of this side.
SHRINKING, SMALLEST_KERNEL = math.sqrt(0.5), 5
# The first weight of the l0 prior, its decay per iteration, and the iterations per scale.
WEIGHT, DECAY, ITERATIONS = 4e-3, 1.1, 5


@dataclass(frozen=True)
class FreeSettings:
    """What photos differ in.

    Attributes:
        least_weight: the smallest weight of the l0 prior.
        damping: weight of ``|k|^2`` in the kernel fit.
        least_value: kernel values below this share of the largest are removed.
    """

    least_weight: float = 1e-3
    damping: float = 4.0
    least_value: float = 0.1


def free_kernel(
    y: Tensor, side: int, settings: FreeSettings, report: Callable[[float], None]
) -> Tensor | None:
    """Return the kernel ``(1, 1, side, side)`` of a photo, centered, of sum 1; None if it has no edges.

    Args:
        y: a gray photo ``(1, 1, H, W)`` with values in ``[0, 1]``, larger than the kernel.
        side: odd number of pixels per side of the kernel.
        settings: weights and thresholds.
        report: receives the finished share of the work.
    """
    y = y.float()
    scales = max(0, math.floor(math.log(SMALLEST_KERNEL / side) / math.log(SHRINKING))) + 1
    work = [SHRINKING ** (2 * scale) for scale in range(scales)]
    kernel, weight, done = None, WEIGHT, 0.0
    for scale in reversed(range(scales)):
        small = _resized(y, [max(1, round(length * SHRINKING**scale)) for length in y.shape[-2:]])
        current = max(3, round(side * SHRINKING**scale) // 2 * 2 + 1)
        kernel = _first_kernel(current, y) if kernel is None else _grown(kernel, current, settings)
        extended = periodic_extension(small, current)
        inside = _inside(small, current, extended)
        for _ in range(ITERATIONS):
            x = sharp_edges(extended, kernel, weight)
            fitted = fitted_kernel(x, extended, current, settings.damping, inside)
            found = plausible_kernel(fitted, settings.least_value)
            if found is None:
                return None
            kernel, weight = found, max(weight / DECAY, settings.least_weight)
        done += work[scale]
        report(done / sum(work))
    return kernel


def _first_kernel(side: int, y: Tensor) -> Tensor:
    """Return a kernel of two equal neighbors: one pixel alone is a fixed point of the iterations."""
    kernel = y.new_zeros(1, 1, side, side)
    kernel[..., side // 2, side // 2 : side // 2 + 2] = 0.5
    return kernel


def _grown(kernel: Tensor, side: int, settings: FreeSettings) -> Tensor:
    """Return a kernel on the grid of the next finer scale."""
    grown = _resized(kernel, [side, side]).clamp_min(0)
    found = plausible_kernel(grown, settings.least_value)
    assert found is not None  # noqa: S101  the sum of a kernel is 1
    return found


def _resized(images: Tensor, size: list[int]) -> Tensor:
    if list(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


def _inside(small: Tensor, side: int, extended: Tensor) -> Tensor:
    """Return the weight of each pixel in the kernel fit: 1 inside the photo, falling to 0 at its border."""
    (height, width), margin = small.shape[-2:], side // 2
    if min(height, width) <= 4 * margin:
        margin = 0
    weights = np.zeros(tuple(extended.shape[-2:]))
    weights[margin : height - margin - 1, margin : width - margin - 1] = 1
    return torch.from_numpy(ndimage.gaussian_filter(weights, max(1, margin / 3))).to(extended)
