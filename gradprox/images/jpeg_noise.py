"""The noise level of an image that was stored as JPEG, from its cosine coefficients and its quantization steps.

JPEG transforms blocks of 8x8 pixels and rounds each coefficient to a multiple of a step, which grows with the frequency
(ITU-T T.81, A.3). Noise below half a step vanishes, but only at the frequencies with large steps. The rest of it stays
at low frequencies, where a blurred image has all of its content. So the noise of a JPEG image is not white. An estimate
that looks for the weakest component of small patches finds the empty frequencies, and reads far too low.

The share of coefficients near zero still gives the standard deviation before rounding, if they were Gaussian. The
texture of an image only adds to it. Therefore the smallest values of all frequencies bound the noise from above, and
come close to it if some frequencies have little texture in half of the blocks.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 8  # pixels per side of a block of JPEG
MOST_BLOCKS = 1 << 13  # larger images are sampled
WHITE = 255  # steps are in gray levels
# Zeros, after the pixels were rounded to whole gray levels.
NEARLY_ZERO = 1
# Sums of row and column of the frequencies that most blurs leave; their rounding errors are those that matter.
LOW_FREQUENCIES = 2
WEAKEST = 8  # number of frequencies, the ones of least deviation, that give the estimate
# The smallest of many estimates are too small, by this share divided by the square root of the number of blocks; found
# by simulating white noise.
SELECTION_BIAS = 1.7
# The orthonormal cosine transform of a line of pixels (ITU-T T.81, A.3.3), one row per frequency.
COSINES = np.cos(np.pi / SIDE * np.outer(np.arange(SIDE), np.arange(SIDE) + 0.5)) * math.sqrt(2 / SIDE)
COSINES[0] /= math.sqrt(2)


def rounding_error(steps: NDArray[Any]) -> float:
    """Return the standard deviation of the rounding error of low frequencies, on the scale where white is 1.

    The error of a coefficient that spreads over several steps is uniform: its variance is step^2 / 12.

    Args:
        steps: ``(8, 8)``, the quantization steps of one channel by row and column of the frequency.
    """
    low = np.add.outer(np.arange(SIDE), np.arange(SIDE)) <= LOW_FREQUENCIES
    return math.sqrt(float(np.square(steps[low], dtype=float).mean()) / 12) / WHITE


def noise_before_rounding(plane: NDArray[Any], steps: NDArray[Any]) -> float:
    """Return the standard deviation of the noise that an image had before it was stored as JPEG, or somewhat more.

    Args:
        plane: ``(H, W)``, at least 8x8 pixels of one channel, where white is 1. The grid of blocks begins in any
            corner: the image may have been turned or mirrored since.
        steps: ``(8, 8)``, the quantization steps of the channel, turned with the image.
    """
    sizes = _coefficient_sizes(WHITE * plane)
    # The interval around zero of whole steps that holds at least half of the coefficients. Its ends are half-way
    # between multiples of the step, so rounding moved no coefficient across them.
    edges = (np.ceil(np.median(sizes, axis=0) / steps - 0.5).clip(0) + 0.5) * steps
    # If all coefficients are inside, the deviation is only known to be small: half a coefficient is taken as outside.
    inside = (sizes < edges).mean(axis=0).clip(max=1 - 0.5 / len(sizes))
    # Values of this share of a Gaussian lie within so many deviations of its mean.
    deviations = edges / np.vectorize(NormalDist().inv_cdf)((1 + inside) / 2)
    weakest = np.sort(deviations.flatten()[1:])[:WEAKEST].mean()  # the first is the mean of the block
    return float(weakest * (1 + SELECTION_BIAS / math.sqrt(len(sizes)))) / WHITE


def _coefficient_sizes(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the absolute cosine coefficients of the blocks of JPEG, ``(N, 8, 8)``."""
    corners = (plane, plane[::-1], plane[:, ::-1], plane[::-1, ::-1])
    candidates = [np.abs(COSINES @ _blocks(corner) @ COSINES.T) for corner in corners]
    # Blocks beside the grid of JPEG mix the coefficients of several blocks, so fewer of theirs are zero.
    return max(candidates, key=lambda sizes: (sizes < NEARLY_ZERO).mean())


def _blocks(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the blocks of the grid that begins at the first pixel, ``(N, 8, 8)``."""
    rows, columns = (length // SIDE for length in plane.shape)
    grid = plane[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    stride = max(1, math.ceil(math.sqrt(rows * columns / MOST_BLOCKS)))
    return grid[::stride, ::stride].reshape(-1, SIDE, SIDE)
