"""Blur kernels from a short description or from a file, as arrays ``(h, w)`` that sum to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradprox.array_files import ARRAY_SUFFIXES, arrays_in
from gradprox.errors import InputError, did_you_mean
from gradprox.images import read_image
from gradprox.kernels.formulas import (
    LARGEST,
    Kernel,
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    normalized,
)

KERNEL_SUFFIXES = (*ARRAY_SUFFIXES, ".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")

# An image with smaller sides is no photo, and the border of a kernel is below this share of its largest value.
LEAST_PHOTO, DARK = 32, 0.05

# The function of each name, and the names of its numbers.
GENERATORS: dict[str, tuple[Callable[..., Kernel], tuple[str, ...]]] = {
    "gaussian": (gaussian_kernel, ("SIGMA",)),
    "motion": (motion_kernel, ("LENGTH", "ANGLE")),
    "disk": (disk_kernel, ("RADIUS",)),
}


def read_kernel(description: str) -> Kernel:
    """Return one kernel from ``gaussian:1.6``, ``motion:15:45``, ``disk:4`` or a file.

    Raises:
        InputError: it is none of these, or a file holds several kernels.
    """
    kernels = read_kernels(description)
    if len(kernels) > 1:
        raise InputError(
            f"{description}: holds {len(kernels)} kernels ({', '.join(kernels)}): name one, "
            f"for example {description}:{next(iter(kernels))}"
        )
    return next(iter(kernels.values()))


def read_kernels(description: str) -> dict[str, Kernel]:
    """Return all kernels of a description, by name.

    ``FILE.npz`` and ``FILE.mat`` give every two-dimensional array in the file, ``FILE.npz:NAME`` gives one.

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
            f"{description}: not a kernel: {did_you_mean(name, [*GENERATORS])}write gaussian:SIGMA, "
            f"motion:LENGTH:ANGLE, disk:RADIUS or a file ({' '.join(KERNEL_SUFFIXES)})"
        )
    if not Path(path).is_file():
        raise InputError(f"{path}: no such kernel file")
    if Path(path).suffix.lower() in ARRAY_SUFFIXES:
        arrays = arrays_in(Path(path))
    else:
        image = read_image(path).gray_array()[0, 0]
        if is_photo(image):
            raise InputError(
                f"{path}: looks like a photo, not like a kernel: its border is not black. A kernel is the image of a "
                f"blurred point of light on black; find that of a photo by `gradprox estimate-kernel {path} -o k.npy`"
            )
        arrays = {Path(path).stem: image}
    if wanted:
        if wanted not in arrays:
            raise InputError(f"{path}: no kernel {wanted!r} in it, only {', '.join(arrays)}")
        arrays = {wanted: arrays[wanted]}
    if not arrays:
        raise InputError(f"{path}: no two-dimensional array in it")
    return {key: _from_array(f"{path}:{key}" if len(arrays) > 1 else path, a) for key, a in arrays.items()}


def is_photo(image: NDArray[np.floating]) -> bool:
    """Return whether an image ``(h, w)`` cannot be that of a kernel: it is large, and its border is not dark.

    A kernel ends in its image, so its border is dark. Small images may be kernels that are cut out tightly.
    """
    border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    return min(image.shape) >= LEAST_PHOTO and float(np.median(border)) > DARK * float(image.max())


def description_of(family: str, parameters: Sequence[float]) -> str:
    """Return a kernel by formula in the syntax of `read_kernel`, for example ``motion:11.2:30``."""
    length, *angle = parameters
    return ":".join([family, f"{length:.3g}", *(f"{degrees:.0f}" for degrees in angle)])


def _generated(description: str, name: str, arguments: list[str]) -> Kernel:
    generator, expected = GENERATORS[name]
    usage = ":".join((name, *expected))
    try:
        numbers = [float(argument) for argument in arguments]
    except ValueError as error:
        raise InputError(f"{description}: write {usage}, with numbers") from error
    if len(numbers) != len(expected) or not all(map(math.isfinite, numbers)):
        raise InputError(f"{description}: write {usage}, with numbers")
    try:
        return generator(*numbers)
    except InputError as error:
        raise InputError(f"{description}: {error}") from error


def _from_array(label: str, array: NDArray[np.generic]) -> Kernel:
    if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise InputError(
            f"{label}: a kernel is a two-dimensional array of real numbers, got {array.dtype} of {array.shape}"
        )
    if max(array.shape) > LARGEST:
        raise InputError(f"{label}: {array.shape[0]}x{array.shape[1]} is too large for a kernel")
    kernel = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(kernel).all():
        raise InputError(f"{label}: contains NaN or infinite values")
    if (kernel < 0).any() or not (kernel > 0).any():
        raise InputError(f"{label}: a blur kernel is nonnegative and not zero")
    return normalized(kernel)
