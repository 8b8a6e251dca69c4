"""Images on disk and as tensors ``(1, C, H, W)`` with values in ``[0, 1]``.

Begin with `io`: it reads and writes every format. `stacks` does so for files of several images: pages (`tiff_stacks`)
and frames (`animations`, `animation_chunks`). Their parts are

* `image_data`: an image as read, `ImageData`, and the one check of its scale, `check_scale`;
* `eight_bit` (Pillow) and `deep` (16 bits and floating point): the two kinds of files;
* `samples`: from stored samples to pixels and back; `fitting`: the part of an image that a format has a place for;
* `metadata`: everything else in a file; `encoding` (compression), `png_chunks` and `tiff_tags` serve it;
* `formats`: the formats' names and suffixes.

`srgb` converts to linear light and back, `camera` recognizes the photos of a camera, `noise_estimation` estimates the
noise level of an image (`jpeg_noise` that of a JPEG file), and `example` is a photo to try things on.
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
from gradprox.images.stacks import (
    STACK_SUFFIXES,
    Kinds,
    Stack,
    check_stack_target,
    open_stack,
    read_pages,
    write_stack,
)

__all__ = [
    "ARRAY_SUFFIXES",
    "EXAMPLE_IMAGE",
    "IMAGE_SUFFIXES",
    "READ_ONLY_SUFFIXES",
    "STACK_SUFFIXES",
    "ImageData",
    "Kinds",
    "Stack",
    "check_image_suffix",
    "check_scale",
    "check_stack_target",
    "example_image",
    "images_in",
    "open_stack",
    "read_color",
    "read_gray",
    "read_image",
    "read_pages",
    "write_image",
    "write_stack",
]
