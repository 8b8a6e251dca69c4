"""Images on disk and as tensors ``(1, C, H, W)`` with values in ``[0, 1]``.

Begin with `io`: it reads and writes every format. `deep` adds 16-bit and floating-point files, `metadata` keeps what a
file says besides its pixels, `srgb` converts to linear light, and `noise_estimation` estimates the noise level.
"""

from gradprox.images.example import EXAMPLE_IMAGE, example_image
from gradprox.images.io import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    ImageData,
    check_image_suffix,
    images_in,
    read_color,
    read_gray,
    read_image,
    write_image,
)

__all__ = [
    "ARRAY_SUFFIXES",
    "EXAMPLE_IMAGE",
    "IMAGE_SUFFIXES",
    "ImageData",
    "check_image_suffix",
    "example_image",
    "images_in",
    "read_color",
    "read_gray",
    "read_image",
    "write_image",
]
