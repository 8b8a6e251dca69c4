"""The middle of an image, for benchmarks on whole images that would take too long."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from gradprox.images import read_gray


def read_middle(path: Path, side: int | None) -> Tensor:
    """Read the middle of an image in gray, ``(1, 1, H, W)``, at most ``side`` pixels high and wide."""
    return middle(read_gray(path), side)


def middle(whole: Tensor, side: int | None) -> Tensor:
    """Return the middle of images ``(B, C, H, W)``, at most ``side`` pixels high and wide."""
    height, width = (length if side is None else min(length, side) for length in whole.shape[-2:])
    top, left = (whole.shape[-2] - height) // 2, (whole.shape[-1] - width) // 2
    return whole[..., top : top + height, left : left + width]
