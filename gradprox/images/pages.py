"""Stacks: files of several images, as microscopes write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gradprox.arrays import read_npy
from gradprox.images import deep
from gradprox.images.image_data import ImageData
from gradprox.images.io import read_image
from gradprox.images.samples import image_from_samples, upright


def read_pages(path: str | Path) -> list[ImageData]:
    """Read the images of a file: every page of a TIFF file, every plane of an array ``(N, H, W)``, or the one image.

    Arrays are ``.npy`` files. Other files are those of `read_image`.

    Raises:
        InputError: as `read_image`; pages have samples that are not supported.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy" and path.is_file():
        array = read_npy(path)
        if array.ndim == 3 and array.shape[2] not in (1, 3):
            return [image_from_samples(path, np.asarray(plane)) for plane in array[..., None]]
    if path.suffix.lower() in deep.TIFF_SUFFIXES and path.is_file():
        pages = deep.read_deep_pages(path)
        if len(pages) > 1:
            return [
                image_from_samples(
                    path,
                    upright(page.values, page.orientation),
                    page.metadata,
                    premultiplied=page.premultiplied,
                )
                for page in pages
            ]
    return [read_image(path)]
