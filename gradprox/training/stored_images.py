"""Training images in memory: 8-bit images as bytes, deeper ones in single precision, so that no depth is lost."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.images import check_scale, read_image


def read_stored(path: Path, channels: int, smallest: int = 1) -> Tensor:
    """Read an image for training.

    Args:
        path: of the file.
        channels: 1 turns colors into gray, 3 turns gray into three equal channels.
        smallest: length in pixels that both sides must have.

    Returns:
        ``(channels, H, W)``: uint8 for an 8-bit image; float32 in ``[0, 1]`` for a deeper one, clipped.

    Raises:
        InputError: the image is unreadable, too small, or on another scale than from 0 to 1.
    """
    image = read_image(path)
    check_scale(image.pixels, path)
    pixels = (image.gray() if channels == 1 else image.color())[0]
    if min(pixels.shape[1:]) < smallest:
        raise InputError(
            f"{path}: {pixels.shape[1]}x{pixels.shape[2]} is smaller than a {smallest}-pixel patch: remove it or "
            "choose a smaller patch_size"
        )
    if image.bit_depth == 8:
        return (pixels * 255).round().to(torch.uint8)
    return pixels.clamp(0, 1)


def on_unit_scale(stored: Tensor) -> Tensor:
    """Return stored samples, of any shape, as float32 in ``[0, 1]``."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored
