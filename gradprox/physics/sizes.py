"""Sizes of images, without their channels."""

from __future__ import annotations

from gradprox.errors import InputError

Size = tuple[int, int]


def check_size(size: Size) -> None:
    """Refuse what is no size ``(H, W)``, as the shape ``(C, H, W)`` that deepinv takes.

    Raises:
        InputError: it has not two entries.
    """
    if len(size) != 2:
        raise InputError(f"a size is (H, W), got {tuple(size)}")
