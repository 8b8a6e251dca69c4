"""Blur kernels from a short description or from a file, as ``(1, 1, h, w)`` tensors that sum to one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradprox.errors import InputError
from gradprox.images import read_gray
from gradprox.physics.array_files import ARRAY_SUFFIXES, arrays_in

KERNEL_SUFFIXES = (*ARRAY_SUFFIXES, ".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
LARGEST = 1024


def gaussian_kernel(sigma: float) -> Tensor:
    """Return a Gaussian of standard deviation ``sigma`` pixels, cut at four of them."""
    _positive("sigma", sigma, LARGEST / 8)
    radius = math.ceil(4 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    line = torch.exp(-(offsets**2) / (2 * sigma**2))
    return _normalized(line[:, None] * line)


def motion_kernel(length: float, angle: float) -> Tensor:
    """Return a straight motion of ``length`` pixels at ``angle`` degrees, counter-clockwise from the right.

    A pixel at distance ``d`` from the path of the pixel centers, ``length - 1`` long, has weight
    ``max(0, 1 - d)``, so ``motion:5:0`` is five equal weights.
    """
    _positive("length", length, LARGEST / 2)
    half = max(0.0, (length - 1) / 2)
    offsets = torch.arange(-math.ceil(half), math.ceil(half) + 1, dtype=torch.float64)
    up, right = -offsets[:, None], offsets[None, :]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along = (right * cosine + up * sine).clamp(-half, half)
    distance = torch.hypot(right - along * cosine, up - along * sine)
    return _normalized((1 - distance).clamp_min(0))


def disk_kernel(radius: float) -> Tensor:
    """Return a disk, the blur of a defocused lens, with border pixels weighted by the area inside it.

    Areas are measured with 16x16 points a pixel.
    """
    _positive("radius", radius, LARGEST / 2)
    half, points = math.ceil(radius), 16
    size = 2 * half + 1
    fine = (torch.arange(size * points, dtype=torch.float64) + 0.5) / points - size / 2
    inside = (fine[:, None] ** 2 + fine**2 <= radius**2).double()
    return _normalized(inside.view(size, points, size, points).sum(dim=(1, 3)))


GENERATORS: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "gaussian": (gaussian_kernel, ("SIGMA",)),
    "motion": (motion_kernel, ("LENGTH", "ANGLE")),
    "disk": (disk_kernel, ("RADIUS",)),
}


def read_kernel(description: str) -> Tensor:
    """Return one kernel from ``gaussian:1.6``, ``motion:15:45``, ``disk:4`` or a file.

    Raises:
        InputError: it is none of these, or a file holds several kernels.
    """
    kernels = read_kernels(description)
    if len(kernels) > 1:
        raise InputError(
            f"{description}: holds {len(kernels)} kernels ({', '.join(kernels)}): name one, "
            f"as in {description}:{next(iter(kernels))}"
        )
    return next(iter(kernels.values()))


def read_kernels(description: str) -> dict[str, Tensor]:
    """Return every kernel a description stands for, by name.

    ``FILE.npz`` and ``FILE.mat`` stand for each two-dimensional array in them, ``FILE.npz:NAME`` for one.

    Raises:
        InputError: the description is unknown, or the file is unreadable or holds no kernel.
    """
    name, *arguments = description.split(":")
    if name in GENERATORS:
        return {description: _generated(description, name, arguments)}
    path, _, wanted = description.partition(":")
    if Path(description).exists():
        path, wanted = description, ""
    if Path(path).suffix.lower() not in KERNEL_SUFFIXES:
        raise InputError(
            f"{description}: not a kernel: write gaussian:SIGMA, motion:LENGTH:ANGLE, disk:RADIUS or a file "
            f"({' '.join(KERNEL_SUFFIXES)})"
        )
    if not Path(path).is_file():
        raise InputError(f"{path}: no such kernel file")
    if Path(path).suffix.lower() in ARRAY_SUFFIXES:
        arrays = arrays_in(Path(path))
    else:
        arrays = {Path(path).stem: read_gray(path)[0, 0].numpy()}
    if wanted:
        if wanted not in arrays:
            raise InputError(f"{path}: no kernel {wanted!r} in it, only {', '.join(arrays)}")
        arrays = {wanted: arrays[wanted]}
    if not arrays:
        raise InputError(f"{path}: no two-dimensional array in it")
    return {key: _from_array(f"{path}:{key}" if len(arrays) > 1 else path, a) for key, a in arrays.items()}


def _generated(description: str, name: str, arguments: list[str]) -> Tensor:
    generator, expected = GENERATORS[name]
    usage = ":".join((name, *expected))
    try:
        numbers = [float(argument) for argument in arguments]
    except ValueError as error:
        raise InputError(f"{description}: write {usage}, with numbers") from error
    if len(numbers) != len(expected) or not all(map(math.isfinite, numbers)):
        raise InputError(f"{description}: write {usage}, with numbers")
    return generator(*numbers)


def _from_array(label: str, array: NDArray[np.generic]) -> Tensor:
    if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise InputError(f"{label}: a kernel is a two-dimensional array of numbers, got {array.shape}")
    if max(array.shape) > LARGEST:
        raise InputError(f"{label}: {array.shape[0]}x{array.shape[1]} is too large for a kernel")
    kernel = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
    if not bool(torch.isfinite(kernel).all()):
        raise InputError(f"{label}: contains NaN or infinite values")
    if bool((kernel < 0).any()) or float(kernel.sum()) <= 0:
        raise InputError(f"{label}: a blur kernel is nonnegative and not zero")
    return _normalized(kernel)


def _normalized(kernel: Tensor) -> Tensor:
    return (kernel / kernel.sum()).float()[None, None]


def _positive(name: str, value: float, largest: float) -> None:
    if not 0 < value <= largest:
        raise InputError(f"the kernel's {name} must be above 0 and at most {largest:g}, got {value:g}")
