"""A photo that comes with the package, for demonstrations, examples and tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradprox.images.io import read_color, read_gray

if TYPE_CHECKING:
    from gradprox.images.tensors import Tensor

EXAMPLE_IMAGE = Path(__file__).with_name("example.png")  # Chelsea the cat, by Stefan van der Walt, CC0


def example_image(*, gray: bool = False) -> Tensor:
    """Return the example photo, a cat of 256 x 256 pixels, with values in ``[0, 1]``.

    Args:
        gray: return ITU-R 601 luma, ``(1, 1, 256, 256)``, instead of colors, ``(1, 3, 256, 256)``.
    """
    return read_gray(EXAMPLE_IMAGE) if gray else read_color(EXAMPLE_IMAGE)
