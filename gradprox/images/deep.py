"""Images with samples of 16 bits or floating point: PNG by libpng, TIFF by tifffile (Pillow has no such colors)."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from gradprox.errors import InputError
from gradprox.images.camera import states_exposure
from gradprox.images.encoding import tiff_encoding
from gradprox.images.metadata import Metadata, png_chunks, upright_xmp, usable_dpi
from gradprox.images.png_chunks import HEADER_END, SIGNATURE, with_chunks
from gradprox.images.samples import full_scale
from gradprox.images.tiff_tags import COMPRESSION, DESCRIPTIVE, EXIF, PROFILE, XMP, unread_tags

PNG_SUFFIXES, TIFF_SUFFIXES = (".png",), (".tif", ".tiff")
_PNG_DEPTH = 24  # the byte of the header that holds the bits per sample
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# The two libraries raise these on damaged files; found by reading some thousands. imagecodecs raises RuntimeErrors.
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
_TAGS = {"orientation": 274, "across": 282, "down": 283, "unit": 296, "xmp": XMP, "icc": PROFILE}
_NO_UNIT, _CENTIMETERS = 1, 3  # without a unit, the two resolutions are an aspect ratio
_UNSPECIFIED, _ASSOCIATED, _UNASSOCIATED = 0, 1, 2  # values of the tag ExtraSamples
# tifffile logs oddities that it can read past; they must not reach standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Samples:
    """Samples as stored.

    Attributes:
        values: ``(H, W, S)``, uint8, uint16 or floating point, with alpha in the last place if there is one.
        metadata: the other items of the file.
        orientation: Exif orientation, 1 to 8.
        premultiplied: whether colors were multiplied by alpha.
        channels: the number of samples per pixel without alpha.
    """

    values: NDArray[np.generic]
    metadata: Metadata
    orientation: int
    premultiplied: bool
    channels: int


class TooManyChannelsError(InputError):
    """A page of a TIFF file has more channels than an image; they can be read as gray images."""


def _codecs() -> Any:
    """Return the module imagecodecs, which the distribution without torch leaves to the user: it takes 80 MB.

    Raises:
        InputError: it is not installed.
    """
    try:
        import imagecodecs
    except ModuleNotFoundError as error:
        raise InputError("PNG files of 16 bits need a further package: pip install imagecodecs") from error
    return imagecodecs


def is_deep_png(path: Path) -> bool:
    """Return whether a file is a PNG file with 16 bits per sample."""
    with path.open("rb") as stream:
        header = stream.read(HEADER_END)
    return header.startswith(SIGNATURE) and header[_PNG_DEPTH:][:1] == b"\x10"


def read_deep_png(path: Path) -> NDArray[np.generic]:
    """Return the samples ``(H, W, S)`` of a 16-bit PNG file.

    Raises:
        InputError: the file is damaged, or imagecodecs is not installed.
    """
    codecs = _codecs()
    try:
        values: NDArray[np.generic] = codecs.png_decode(path.read_bytes())
    except DEEP_ERRORS as error:
        raise InputError(f"{path}: damaged PNG: {error}") from error
    return values.reshape(*values.shape[:2], -1)


def write_deep_png(stream: BinaryIO, values: NDArray[np.uint16], metadata: Metadata) -> None:
    """Write samples ``(H, W, S)`` and the metadata that `Metadata.for_format` kept."""
    stored = values[..., 0] if values.shape[2] == 1 else values
    content = bytes(_codecs().png_encode(np.ascontiguousarray(stored)))
    chunks = png_chunks(metadata, channels=1 if values.shape[2] <= 2 else 3)
    stream.write(with_chunks(content, chunks))


def is_tiff(path: Path) -> bool:
    """Return whether a file begins as a TIFF file."""
    with path.open("rb") as stream:
        return stream.read(4) in _TIFF_MAGIC


def read_deep_tiff(path: Path) -> Samples | None:
    """Read a TIFF file that Pillow cannot read in full; return None for another TIFF file, or another format.

    These are files of 16-bit or floating-point samples, and files of 8 bits with a sample of unspecified meaning, which
    Pillow would drop.

    Raises:
        InputError: the file is damaged, too large, has several pages, or is of an unsupported kind.
    """
    if not is_tiff(path):
        return None
    with opened_tiff(path) as file:
        page = file.pages[0]
        if page.dtype is None or page.dtype == np.bool_ or _left_to_pillow(page):
            return None
        if len(file.pages) > 1:
            raise InputError(
                f"{path}: contains {len(file.pages)} images (pages): save the one that you need as a separate file"
            )
        return read_page(path, page)


@contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; errors of the library in the block become errors of input."""
    try:
        with warnings.catch_warnings():
            # Offsets in damaged files overflow numpy's integers; serious damage raises an error.
            warnings.simplefilter("ignore", RuntimeWarning)
            with tifffile.TiffFile(path) as file:
                yield file
    except DEEP_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or unsupported TIFF: {error}") from error


def _left_to_pillow(page: Any) -> bool:
    unspecified = page.photometric in (0, 1, 2) and _UNSPECIFIED in page.extrasamples
    return page.dtype == np.uint8 and not unspecified


def read_page(path: Path | str, page: Any, *, separate: bool = False) -> Samples:
    """Read a page of a TIFF file.

    Args:
        path: of the file, for messages.
        page: of tifffile.
        separate: whether pages may have any number of channels.

    Raises:
        TooManyChannelsError: the page has more channels than an image, and ``separate`` is false.
        InputError: the page is too large or of an unsupported kind.
    """
    if page.dtype not in (np.uint8, np.uint16) and page.dtype.kind != "f":
        raise InputError(
            f"{path}: samples of type {page.dtype} are not supported: use 8 or 16 bits or floats"
        )
    gray, inverted = page.photometric in (0, 1), page.photometric == 0
    if page.bitspersample not in (8, 16, 32, 64) or not (gray or page.photometric == 2):
        raise InputError(f"{path}: {page.bitspersample}-bit {page.photometric.name} is not supported")
    colors = 1 if gray else 3
    if page.samplesperpixel not in (colors, colors + 1) and not separate:
        raise TooManyChannelsError(
            f"{path}: {page.samplesperpixel} samples per pixel are not supported: keep the colors and at most one "
            "alpha channel"
        )
    if page.imagewidth * page.imagelength > 2 * (Image.MAX_IMAGE_PIXELS or 0):
        raise InputError(f"{path}: too large: {page.imagewidth}x{page.imagelength} pixels")
    values = page.asarray()
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(page.imagelength, page.imagewidth, -1)
    if separate and page.samplesperpixel > 1:
        declared = bool(page.extrasamples) and page.extrasamples[-1] in (_ASSOCIATED, _UNASSOCIATED)
        colors = page.samplesperpixel - declared
    if inverted:
        white = 1 if values.dtype.kind == "f" else full_scale(values.dtype)
        values = np.dstack([white - values[..., :colors], values[..., colors:]])

    orientation = int(page.tags.valueof(_TAGS["orientation"]) or 1)
    return Samples(
        values,
        _metadata(page),
        orientation if 1 <= orientation <= 8 else 1,
        premultiplied=bool(page.extrasamples) and page.extrasamples[-1] == _ASSOCIATED,
        channels=colors,
    )


def _metadata(page: Any) -> Metadata:
    tags = {name: page.tags.valueof(code) for name, code in _TAGS.items()}
    dpi = None
    if tags["across"] and tags["down"] and tags["unit"] != _NO_UNIT:
        scale = 2.54 if tags["unit"] == _CENTIMETERS else 1.0
        dpi = usable_dpi([scale * pair[0] / pair[1] for pair in (tags["across"], tags["down"])])
    exif = Image.Exif()
    for code in DESCRIPTIVE:
        if isinstance(text := page.tags.valueof(code), str):
            exif[code] = text
    return Metadata(
        icc_profile=tags["icc"],
        exif=exif.tobytes() if len(exif) else None,
        xmp=upright_xmp(tags["xmp"]),
        dpi=dpi,
        encoding=tiff_encoding(page.tags.valueof(COMPRESSION)),
        exposed=_is_exposed(page),
        lost=tuple(unread_tags((tag.code for tag in page.tags), directories=False)),
    )


def _is_exposed(page: Any) -> bool:
    """Return whether Exif says how a camera exposed a page."""
    named = page.tags.valueof(EXIF)
    if not isinstance(named, dict):
        return False
    # tifffile reads this directory by the names of its tags.
    return states_exposure(
        {int(ExifTags.Base[name]): named.get(name) for name in ("ExposureTime", "FNumber")}
    )


def with_texts_only(metadata: Metadata) -> Metadata:
    """Return metadata as a TIFF file by tifffile keeps it: of Exif only the texts of its first directory."""
    tags, whole = metadata.exif_tags(), Image.Exif()
    if not metadata.exif:
        return metadata
    whole.load(metadata.exif)
    texts = Image.Exif()
    for code, text in tags.items():
        if isinstance(text, str):
            texts[code] = text
    others = set(whole) - set(texts) - set(_TAGS.values())
    kept = replace(metadata, exif=texts.tobytes() if len(texts) else None)
    return kept.without("Exif (all but its texts)") if others else kept


def write_deep_tiff(stream: BinaryIO, values: NDArray[Any], metadata: Metadata) -> None:
    """Write samples ``(H, W, S)``, uint16 or float32, and the metadata that `with_texts_only` kept."""
    options = page_options(values, 1 if values.shape[2] <= 2 else 3, metadata)
    tifffile.imwrite(stream, **options, software=False, metadata=None)


def page_options(values: NDArray[Any], channels: int, metadata: Metadata) -> dict[str, Any]:
    """Return the arguments of tifffile for a page: its samples, with alpha beyond ``channels``, and its metadata."""
    tags: list[tuple[Any, ...]] = [
        (code, "s", 0, text.encode(), True)
        for code, text in metadata.exif_tags().items()
        if isinstance(text, str)
    ]
    if metadata.xmp:
        tags.append((XMP, "B", len(metadata.xmp), metadata.xmp, True))
    further = 0 if channels in (1, 3) else channels - 1
    alpha = values.shape[2] > channels
    return {
        "data": values[..., 0] if values.shape[2] == 1 else values,
        "photometric": "rgb" if channels == 3 else "minisblack",
        "planarconfig": "contig" if values.shape[2] > 1 else None,
        "compression": metadata.encoding.tiff,
        "extrasamples": [*["unspecified"] * further, *["unassalpha"] * alpha] or None,
        "iccprofile": metadata.icc_profile,
        "resolution": metadata.dpi,
        "resolutionunit": "inch" if metadata.dpi else None,
        "extratags": tags,
    }
