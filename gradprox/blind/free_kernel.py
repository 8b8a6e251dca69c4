"""A blur kernel of any shape, for camera shake: sharp edges and the kernel in turn, from coarse to fine.

Pan, Hu, Su and Yang, CVPR 2014, in the form of Anger, Facciolo and Delbracio (Image Processing On Line 2019), who
describe all of its parameters. Their threshold of small kernel values and their smallest weight of the prior suit
photos without noise; the values here were chosen on 16 photos of BSDS400 with random shakes and noise of 2.55/255.
The kernel is fitted to the useful edges only (see `gradprox.blind.useful_edges`), which was chosen on 12 other photos
of BSDS400. The result depends on the first kernel of the coarsest scale, so estimates from several ones are compared.
"""

from __future__ import annotations

import itertools
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
from gradprox.blind.useful_edges import most_useful, usefulness

# Sides shrink by this factor from scale to scale, down to a kernel of this side.
SHRINKING, SMALLEST_KERNEL = math.sqrt(0.5), 5
# The first and the smallest weight of the l0 prior, its decay per iteration, and the iterations per scale.
WEIGHT, LEAST_WEIGHT, DECAY, ITERATIONS = 4e-3, 1e-3, 1.1, 5
# Weight of ``|k|^2`` in the kernel fit, and the share of the largest value below which values are removed.
DAMPING, LEAST_VALUE = 0.2, 0.02
# Iterations of a kernel that is fitted again.
REFITS = 4
# Share of the gradients that are selected in the first iteration. It grows steadily to 1 in the last one.
FIRST_SHARE = 0.3
# Sides of the window of usefulness, to select gradients and to weight them.
SELECTION_WINDOW, WEIGHT_WINDOW = 5, 7


def free_kernel(
    y: Tensor, side: int, first: tuple[int, int], selects: bool, report: Callable[[float], None]
) -> Tensor | None:
    """Return the kernel ``(1, 1, side, side)`` of a photo, centered, of sum 1; None if it has no edges.

    Args:
        y: a gray photo ``(1, 1, H, W)`` with values in ``[0, 1]``, larger than the kernel.
        side: odd number of pixels per side of the kernel.
        first: height and width of the first kernel, a box; not one pixel alone, which is a fixed point.
        selects: whether the most useful gradients are selected, and the others later; else gradients are weighted by
            their usefulness.
        report: receives the finished share of the work.
    """
    y = y.float()
    scales = max(0, math.floor(math.log(SMALLEST_KERNEL / side) / math.log(SHRINKING))) + 1
    work = [SHRINKING ** (2 * scale) for scale in range(scales)]
    kernel, weight, done = None, WEIGHT, 0.0
    shares = iter(np.linspace(FIRST_SHARE, 1, scales * ITERATIONS))
    for scale in reversed(range(scales)):
        small = _resized(y, [max(1, round(length * SHRINKING**scale)) for length in y.shape[-2:]])
        current = max(3, round(side * SHRINKING**scale) // 2 * 2 + 1)
        kernel = _box(first, current, y) if kernel is None else _grown(kernel, current)
        fit = _Fit.of(small, current, selects)
        for share in itertools.islice(shares, ITERATIONS):
            kernel = fit.next_kernel(kernel, weight, share)
            if kernel is None:
                return None
            weight = max(weight / DECAY, LEAST_WEIGHT)
        done += work[scale]
        report(done / sum(work))
    return kernel


def refitted_kernel(y: Tensor, kernel: Tensor, selects: bool) -> Tensor | None:
    """Return a kernel after some more iterations at the finest scale; None if one of them finds no kernel.

    Args:
        y: see `free_kernel`.
        kernel: the first kernel, ``(1, 1, side, side)`` with an odd side.
        selects: whether all gradients weigh alike; else they are weighted by their usefulness.
    """
    fit, found = _Fit.of(y.float(), kernel.shape[-1], selects), kernel.float()
    for _ in range(REFITS):
        new = fit.next_kernel(found, LEAST_WEIGHT, 1.0)
        if new is None:
            return None
        found = new
    return found


@dataclass(frozen=True)
class _Fit:
    """What all iterations at one scale share.

    Attributes:
        extended: the photo at this scale, extended to a period.
        inside: the weight of each pixel in a kernel fit.
        useful: the usefulness of each gradient.
        selects: whether the most useful gradients are selected; else gradients are weighted by their usefulness.
    """

    extended: Tensor
    inside: Tensor
    useful: Tensor
    selects: bool

    @classmethod
    def of(cls, small: Tensor, side: int, selects: bool) -> _Fit:
        """Return it for a photo at one scale, and for kernels of ``side`` pixels per side."""
        extended = periodic_extension(small, side)
        window = SELECTION_WINDOW if selects else WEIGHT_WINDOW
        return cls(extended, _inside(small, side, extended), usefulness(extended, window), selects)

    def next_kernel(self, kernel: Tensor, weight: float, share: float) -> Tensor | None:
        """Return the kernel after one iteration; None if there is none.

        Args:
            kernel: the last one.
            weight: of the l0 prior.
            share: of the gradients that are selected.
        """
        x = sharp_edges(self.extended, kernel, weight)
        weights = most_useful(self.useful, share) if self.selects else self.useful
        fitted = fitted_kernel(x, self.extended, kernel.shape[-1], DAMPING, self.inside, weights)
        return plausible_kernel(fitted, LEAST_VALUE)


def _box(size: tuple[int, int], side: int, like: Tensor) -> Tensor:
    """Return a constant kernel of a height and a width in the middle of ``(1, 1, side, side)``."""
    kernel = like.new_zeros(1, 1, side, side)
    top, left = ((side - length) // 2 for length in size)
    kernel[..., top : top + size[0], left : left + size[1]] = 1 / (size[0] * size[1])
    return kernel


def _grown(kernel: Tensor, side: int) -> Tensor:
    """Return a kernel on the grid of the next finer scale."""
    found = plausible_kernel(_resized(kernel, [side, side]).clamp_min(0), LEAST_VALUE)
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
