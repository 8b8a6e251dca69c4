"""Samples of 16 bits and floating point, which Pillow does not have in color: PNG by libpng, TIFF by tifffile."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from gradprox.errors import InputError
from gradprox.images.metadata import DESCRIPTIVE_TAGS, Metadata, png_chunks, upright_xmp, usable_dpi

PNG_SUFFIXES, TIFF_SUFFIXES = (".png",), (".tif", ".tiff")
_PNG_HEADER = 33  # bytes of signature and IHDR; the bit depth is byte 24
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What the two libraries raise on damaged files, found by feeding them some thousands. imagecodecs: RuntimeErrors.
DEEP_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
)
_TAGS = {"orientation": 274, "across": 282, "down": 283, "unit": 296, "xmp": 700, "icc": 34675}
_CENTIMETRES = 3
# What it can read past it would report on standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Samples:
    """Samples as stored.

    Attributes:
        values: ``(H, W, S)``, uint16 or floating point, ``S`` 1 or 3, or 2 or 4 with alpha in the last place.
        metadata: what else the file says.
        orientation: Exif orientation, 1 to 8.
    """

    values: NDArray[np.generic]
    metadata: Metadata
    orientation: int


def is_deep_png(path: Path) -> bool:
    """Return whether a file is a PNG with samples of 16 bits."""
    with path.open("rb") as stream:
        header = stream.read(_PNG_HEADER)
    return header.startswith(b"\x89PNG\r\n\x1a\n") and header[24:25] == b"\x10"


def read_deep_png(path: Path) -> NDArray[np.generic]:
    """Return the samples ``(H, W, S)`` of a 16-bit PNG.

    Raises:
        InputError: it is damaged.
    """
    try:
        values: NDArray[np.generic] = imagecodecs.png_decode(path.read_bytes())
    except DEEP_ERRORS as error:
        raise InputError(f"{path}: damaged PNG: {error}") from error
    return values.reshape(*values.shape[:2], -1)


def write_deep_png(stream: BinaryIO, values: NDArray[np.uint16], metadata: Metadata) -> None:
    """Write samples ``(H, W, S)``."""
    stored = values[..., 0] if values.shape[2] == 1 else values
    content = imagecodecs.png_encode(np.ascontiguousarray(stored))
    chunks = png_chunks(metadata, channels=1 if values.shape[2] <= 2 else 3)
    stream.write(content[:_PNG_HEADER] + chunks + content[_PNG_HEADER:])


def read_deep_tiff(path: Path) -> Samples | None:
    """Read a TIFF file of 16-bit or floating-point samples; None for one with others, or for another file.

    Raises:
        InputError: it is damaged, too large, of several pages, or of an unsupported kind.
    """
    with path.open("rb") as stream:
        if stream.read(4) not in _TIFF_MAGIC:
            return None
    try:
        with warnings.catch_warnings():
            # Offsets in damaged files overflow numpy's integers; what matters is raised.
            warnings.simplefilter("ignore", RuntimeWarning)
            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                if page.dtype is None or page.dtype == np.bool_ or page.dtype == np.uint8:
                    return None
                return _read_page(path, page, len(file.pages))
    except DEEP_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or unsupported TIFF: {error}") from error


def _read_page(path: Path, page: Any, pages: int) -> Samples:
    if pages > 1:
        raise InputError(f"{path}: holds {pages} images: give gradprox one a file")
    if page.dtype != np.uint16 and page.dtype.kind != "f":
        raise InputError(
            f"{path}: samples of type {page.dtype} are not supported: use 8 or 16 bits or floats"
        )
    gray, inverted = page.photometric in (0, 1), page.photometric == 0
    if page.bitspersample not in (16, 32, 64) or not (gray or page.photometric == 2):
        raise InputError(f"{path}: {page.bitspersample}-bit {page.photometric.name} is not supported")
    if page.imagewidth * page.imagelength > 2 * (Image.MAX_IMAGE_PIXELS or 0):
        raise InputError(f"{path}: too large: {page.imagewidth}x{page.imagelength} pixels")
    values = page.asarray()
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(page.imagelength, page.imagewidth, -1)
    if inverted:
        values = (65535 if values.dtype == np.uint16 else 1) - values

    tags = {name: page.tags.valueof(code) for name, code in _TAGS.items()}
    dpi = None
    if tags["across"] and tags["down"]:
        scale = 2.54 if tags["unit"] == _CENTIMETRES else 1.0
        dpi = usable_dpi([scale * pair[0] / pair[1] for pair in (tags["across"], tags["down"])])
    exif = Image.Exif()
    for code in DESCRIPTIVE_TAGS:
        if isinstance(text := page.tags.valueof(code), str):
            exif[code] = text
    metadata = Metadata(
        icc_profile=tags["icc"],
        exif=exif.tobytes() if len(exif) else None,
        xmp=upright_xmp(tags["xmp"]),
        dpi=dpi,
    )
    orientation = int(tags["orientation"] or 1)
    return Samples(values, metadata, orientation if 1 <= orientation <= 8 else 1)


def write_deep_tiff(stream: BinaryIO, values: NDArray[Any], metadata: Metadata) -> None:
    """Write samples ``(H, W, S)``, uint16 or float32; of Exif only its texts, for want of its directories."""
    channels = 1 if values.shape[2] <= 2 else 3
    options = metadata.save_options(".tiff", channels)
    tags: list[tuple[Any, ...]] = [
        (code, "s", 0, text.encode(), True)
        for code, text in metadata.exif_tags().items()
        if isinstance(text, str)
    ]
    if metadata.xmp:
        tags.append((_TAGS["xmp"], "B", len(metadata.xmp), metadata.xmp, True))
    alpha = values.shape[2] in (2, 4)
    tifffile.imwrite(
        stream,
        values[..., 0] if values.shape[2] == 1 else values,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig="contig" if values.shape[2] > 1 else None,
        extrasamples=["unassalpha"] if alpha else None,
        iccprofile=options.get("icc_profile"),
        resolution=metadata.dpi,
        resolutionunit="inch" if metadata.dpi else None,
        extratags=tags,
        metadata=None,
        software=False,
    )
