"""Images on disk and as tensors ``(1, C, H, W)`` with values in ``[0, 1]``.

Begin with `io`: it reads and writes every format. Its parts are

* `image_data`: an image as read, `ImageData`, and the one check of its scale, `check_scale`;
* `eight_bit` (Pillow) and `deep` (16 bits and floating point): the two kinds of files;
* `samples`: from stored samples to pixels and back;
* `metadata`: everything else in a file; `encoding` (compression), `png_chunks` and `tiff_tags` serve it;
* `formats`: the formats' names and suffixes.

`srgb` converts to linear light and back, `noise_estimation` estimates the noise level of an image (`jpeg_noise` that of
a JPEG file), and `example` is a photo to try things on.
"""

from gradprox.images.example import EXAMPLE_IMAGE, example_image
from gradprox.images.formats import ARRAY_SUFFIXES, IMAGE_SUFFIXES, READ_ONLY_SUFFIXES
from gradprox.images.image_data import ImageData, check_scale
from gradprox.images.io import (
    check_image_suffix,
    images_in,
    read_color,
    read_gray,
    read_image,
    write_image,
)
from gradprox.images.pages import read_pages

__all__ = [
    "ARRAY_SUFFIXES",
    "EXAMPLE_IMAGE",
    "IMAGE_SUFFIXES",
    "READ_ONLY_SUFFIXES",
    "ImageData",
    "check_image_suffix",
    "check_scale",
    "example_image",
    "images_in",
    "read_color",
    "read_gray",
    "read_image",
    "read_pages",
    "write_image",
]
