"""Estimation of the noise level of an image.

G. Chen, F. Zhu and P. A. Heng, An Efficient Statistical Method for Image Noise Level Estimation, ICCV 2015, for white
noise; `gradprox.images.jpeg_noise` for images that were stored as JPEG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.images.image_data import LUMA, ImageData
from gradprox.images.jpeg_noise import noise_before_rounding, rounding_error
from gradprox.images.srgb import light_per_display, to_linear_light
from gradprox.images.tensors import as_array

if TYPE_CHECKING:
    from gradprox.images.tensors import Pixels

SIDE = 8  # pixels per side of a patch, as in the paper
MOST_PATCHES = 1 << 16  # larger images are sampled
FEWEST_PATCHES = 4 * SIDE**2  # fewer give no usable covariance of SIDE^2 pixels


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise level of an image from a file, as standard deviations where white is 1.

    Attributes:
        level: for restorations; it includes the error of compression.
        compression: `compression_error`.
    """

    level: float
    compression: float = 0.0


def estimate_image_noise(image: ImageData, *, linear_light: bool = False) -> NoiseEstimate:
    """Estimate the noise level of an image from a file; that of a JPEG file includes the error of its compression.

    Args:
        image: as `gradprox.images.read_image` returns it. The level of a color image is that of each channel.
        linear_light: whether to estimate the level of linear light instead of stored sRGB values.

    Raises:
        InputError: the image is too small.
    """
    pixels, steps = image.array, image.metadata.encoding.luma_steps
    if steps is None:
        return NoiseEstimate(estimate_noise(to_linear_light(pixels) if linear_light else pixels))
    _patches(pixels[0, 0])  # refuses a small image
    before = noise_before_rounding(_luma(pixels), steps) * _luma_scale(pixels, linear_light)
    error = compression_error(image, linear_light=linear_light)
    return NoiseEstimate(math.hypot(before, error), error)


def compression_error(image: ImageData, *, linear_light: bool = False) -> float:
    """Return the noise level that corresponds to the error of JPEG compression; 0 if none is known.

    The arguments are those of `estimate_image_noise`.
    """
    steps = image.metadata.encoding.luma_steps
    return 0.0 if steps is None else rounding_error(steps) * _luma_scale(image.array, linear_light)


def _luma(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the plane that JPEG quantizes finest, ``(H, W)``."""
    luma: NDArray[np.float64] = np.tensordot(
        [1.0] if pixels.shape[1] == 1 else LUMA, pixels[0].astype(np.float64), axes=1
    )
    return luma


def _luma_scale(pixels: NDArray[Any], linear_light: bool) -> float:
    """Return the noise level of an image per noise level of its luma."""
    # Luma averages the independent noise of three channels.
    scale = 1.0 if pixels.shape[1] == 1 else 1 / math.hypot(*LUMA)
    if linear_light:
        # The slope of the curve turns small errors of stored values into errors of light.
        scale *= math.sqrt(np.square(light_per_display(pixels)).mean(dtype=np.float64))
    return scale


def estimate_noise(pixels: Pixels) -> float:
    """Estimate the standard deviation of the white Gaussian noise of an image, on the image's own scale.

    The patches of a clean image lie near a subspace. The smallest eigenvalues of the covariance of noisy patches
    therefore estimate the noise variance. The largest eigenvalues are discarded one by one until the mean of the rest
    equals their median; this mean is the estimate.

    Args:
        pixels: ``(1, C, H, W)``, a tensor or an array; the variances of the channels are averaged.

    Returns:
        The standard deviation, on the scale of the pixels.

    Raises:
        InputError: the image is too small.
    """
    planes = as_array(pixels)[0].astype(np.float64)
    return math.sqrt(sum(_variance(plane) for plane in planes) / len(planes))


def _variance(plane: NDArray[Any]) -> float:
    ascending = np.linalg.eigvalsh(np.cov(_patches(plane), rowvar=False)).clip(0)
    for count in range(SIDE**2, 1, -1):
        rest = ascending[:count]
        mean = rest.mean()
        if int((rest > mean).sum()) >= int((rest < mean).sum()):
            return float(mean)
    return float(ascending[0])


def _patches(plane: NDArray[Any]) -> NDArray[Any]:
    """Return at most about `MOST_PATCHES` patches of an image, ``(N, SIDE^2)``, or raise `InputError`."""
    height, width = plane.shape
    stride = max(1, math.ceil(math.sqrt(height * width / MOST_PATCHES)))
    if min(height, width) >= SIDE:
        patches = sliding_window_view(plane, (SIDE, SIDE))[::stride, ::stride].reshape(-1, SIDE**2)
    if min(height, width) < SIDE or len(patches) < FEWEST_PATCHES:
        raise InputError(f"{height}x{width} pixels are too few to estimate their noise: give the noise level")
    return patches
