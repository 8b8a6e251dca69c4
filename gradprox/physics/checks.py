"""Checks of the arguments of operators: sizes, kernels, images and measurements. Each message names the argument."""

from __future__ import annotations

from collections.abc import Sized
from numbers import Integral

import torch
from torch import Tensor

from gradprox.batch import PRECISIONS
from gradprox.errors import InputError

# Height and width of an image.
Size = tuple[int, int]
# The shape of one entry of a batch, channels first; None where any length fits.
Shape = tuple[int | None, ...]


def check_size(size: Size) -> None:
    """Refuse anything but the height and width of an image.

    deepinv's shape ``(C, H, W)`` is refused, too.

    Raises:
        InputError: it is not two positive whole numbers.
    """
    if (
        not isinstance(size, Sized)
        or len(size) != 2
        or not all(isinstance(length, Integral) and length > 0 for length in size)
    ):
        raise InputError(f"a size is (H, W), two positive whole numbers, got {size!r}")


def check_kernel(kernel: Tensor, size: Size, channels: int | None = None) -> None:
    """Refuse a kernel that is no finite ``(B, C, h, w)`` tensor or does not fit images of ``(H, W)``.

    Args:
        kernel: the kernel.
        size: ``(H, W)`` of the images.
        channels: ``C`` of the images; not checked if not given.

    Raises:
        InputError: the kernel is no such tensor, is larger than the image, or has neither one channel nor ``C``.
    """
    check_size(size)
    if not isinstance(kernel, Tensor) or kernel.ndim != 4 or kernel.numel() == 0:
        got = tuple(kernel.shape) if isinstance(kernel, Tensor) else type(kernel).__name__
        raise InputError(f"a kernel is a tensor (1 or B, 1 or C, h, w), got {got}")
    if kernel.dtype not in PRECISIONS:
        raise InputError(f"a kernel is a tensor of float32 or float64, got {_name(kernel.dtype)}")
    if not bool(torch.isfinite(kernel).all()):
        raise InputError("the kernel contains NaN or infinite values")
    height, width = kernel.shape[-2:]
    if height > size[0] or width > size[1]:
        raise InputError(
            f"the kernel ({height}x{width}) is larger than the image ({size[0]}x{size[1]}): "
            "crop the kernel or use a larger image"
        )
    if channels is not None and kernel.shape[1] not in (1, channels):
        raise InputError(
            f"the kernel has {kernel.shape[1]} channels, the image {channels}: give one channel, or one for each"
        )


def check_batch(name: str, values: Tensor, shape: Shape, images: int | None) -> None:
    """Refuse images or measurements that an operator is not made for.

    Args:
        name: the argument's name, for the message.
        values: the batch.
        shape: shape of one entry.
        images: the number of entries; None if any number fits.

    Raises:
        InputError: it is no tensor of float32 or float64, or has another shape.
    """
    fits = (
        isinstance(values, Tensor)
        and values.dtype in PRECISIONS
        and values.ndim == 1 + len(shape)
        and values.numel() > 0
        and all(length in (None, found) for length, found in zip(shape, values.shape[1:], strict=True))
    )
    if not fits:
        got = (
            f"{_name(values.dtype)} {tuple(values.shape)}"
            if isinstance(values, Tensor)
            else type(values).__name__
        )
        expected = ", ".join("any" if length is None else str(length) for length in ("B", *shape))
        raise InputError(f"{name}: expected a tensor ({expected}) of float32 or float64, got {got}")
    if images is not None and len(values) != images:
        raise InputError(
            f"{name}: expected a batch of {images}, one for each kernel or mask of the operator, got {len(values)}"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
