"""Blur kernels by formula, as arrays ``(h, w)`` of float32 that sum to one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gradprox.errors import InputError

Kernel = NDArray[np.float32]
# Pixels per side of the largest kernel.
LARGEST = 1024


def gaussian_kernel(sigma: float) -> Kernel:
    """Return a Gaussian with a standard deviation of ``sigma`` pixels, cut at four of them.

    Raises:
        InputError: ``sigma`` is not positive, or too large.
    """
    _check_length("sigma", sigma, LARGEST / 8)
    with np.errstate(over="ignore"):  # the squares of a tiny Gaussian are infinite, and its weights zero
        line = np.exp(-((_offsets(math.ceil(4 * sigma)) / sigma) ** 2) / 2)
    return normalized(np.outer(line, line))


def motion_kernel(length: float, angle: float) -> Kernel:
    """Return a straight motion of ``length`` pixels at ``angle`` degrees, counter-clockwise from the right.

    A pixel at distance ``d`` from the path of the pixel centers, ``length - 1`` long, has weight ``max(0, 1 - d)``. So
    ``motion_kernel(5, 0)`` is five equal weights, and a motion of at most one pixel is no blur.

    Raises:
        InputError: the length is not positive, or too large, or the angle is not finite.
    """
    _check_length("length", length, LARGEST / 2)
    if not math.isfinite(angle):
        raise InputError(f"the kernel's angle must be finite, got {angle:g}")
    half = max(0.0, (length - 1) / 2)
    offsets = _offsets(math.ceil(half))
    up, right = -offsets[:, None], offsets[None, :]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along = (right * cosine + up * sine).clip(-half, half)
    distance = np.hypot(right - along * cosine, up - along * sine)
    return normalized((1 - distance).clip(0))


def disk_kernel(radius: float) -> Kernel:
    """Return a disk, the blur of a defocused lens; border pixels are weighted by the area inside it.

    Areas are measured with 16x16 points per pixel. A disk inside one pixel, ``radius <= 1/2``, is no blur.

    Raises:
        InputError: the radius is not positive, or too large.
    """
    _check_length("radius", radius, LARGEST / 2)
    half, points = math.ceil(radius), 16
    size = 2 * half + 1
    # Below half a pixel all of the area is in the middle, though no point may be.
    radius = max(radius, 0.5)
    fine = (np.arange(size * points) + 0.5) / points - size / 2
    inside = fine[:, None] ** 2 + fine**2 <= radius**2
    return normalized(inside.reshape(size, points, size, points).sum(axis=(1, 3)).astype(np.float64))


def blurred(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """Return the blurred image ``(..., H - h + 1, W - w + 1)`` of a scene ``(..., H, W)`` that exceeds the frame.

    It is the valid part of the convolution, as in `gradprox.physics.ValidBlur`.
    """
    windows = sliding_window_view(image, kernel.shape, axis=(-2, -1))
    return np.einsum("...ij,ij", windows, kernel[::-1, ::-1])


def normalized(kernel: NDArray[Any]) -> Kernel:
    """Return a nonnegative kernel ``(h, w)`` of float64 that is not zero in float32, with sum 1."""
    # The largest weight first: a sum of huge weights overflows, and one of tiny weights has few digits.
    relative = kernel / kernel.max()
    return (relative / relative.sum()).astype(np.float32)


def _offsets(radius: int) -> NDArray[np.float64]:
    return np.arange(-radius, radius + 1, dtype=np.float64)


def _check_length(name: str, value: float, largest: float) -> None:
    if not 0 < value <= largest:
        raise InputError(f"the kernel's {name} must be above 0 and at most {largest:g} pixels, got {value:g}")
