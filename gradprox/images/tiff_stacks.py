"""TIFF files of several pages, as microscopes and scanners write them: read and written page by page, by tifffile."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from gradprox.errors import InputError
from gradprox.images.deep import is_tiff, opened_tiff, page_options, read_page, with_texts_only
from gradprox.images.fitting import fitted
from gradprox.images.image_data import ImageData
from gradprox.images.samples import image_from_samples, upright
from gradprox.images.tiff_tags import DESCRIPTIVE, PAGE_TAGS, PROFILE, XMP, PageTag, unread_tags

_DESCRIPTION = 270
_ACROSS, _DOWN, _UNIT, _INCH = 282, 283, 296, 2
# tifffile has arguments for the resolution; all other tags are copied as they are stored.
_COPIED = (*PAGE_TAGS, *DESCRIPTIVE, XMP, PROFILE)
ByteOrder = Literal["<", ">"]
_BIG = 2**32 - 2**25  # a file of more bytes needs the format BigTIFF


def count_pages(path: Path) -> int:
    """Return the number of pages of a TIFF file; 0 for a file of another format.

    Raises:
        InputError: the file is damaged, truncated or has no page.
    """
    if not is_tiff(path):
        return 0
    with _complaints() as complaints, opened_tiff(path) as file:
        count = _single_directory_images(file) or len(file.pages)
        if complaints or count == 0:
            reason = (*complaints, "it has no page")[0]
            raise InputError(f"{path}: damaged or truncated TIFF: {reason}")
        return count


def tiff_layout(path: Path) -> tuple[ByteOrder, bool]:
    """Return the byte order of a TIFF file, ``<`` or ``>``, and whether it is a BigTIFF file."""
    with opened_tiff(path) as file:
        return file.byteorder, file.is_bigtiff


def read_tiff_pages(path: Path, *, separate: bool = False) -> Iterator[ImageData]:
    """Yield the pages of a TIFF file.

    Args:
        path: of the file.
        separate: whether pages may have any number of channels; see `gradprox.images.stacks.open_stack`.

    Raises:
        InputError: a page is damaged, too large, of an unsupported kind, or holds values that are not finite.
    """
    with opened_tiff(path) as file:
        several = _single_directory_images(file)
        if several:
            yield from _contiguous_images(path, file, several)
            return
        pages: Iterable[Any] = file.pages
        for number, page in enumerate(pages, start=1):
            samples = read_page(f"{path}: page {number}", page, separate=separate)
            lost = unread_tags((tag.code for tag in page.tags), directories=False, pages=True)
            yield image_from_samples(
                f"{path}: page {number}",
                upright(samples.values, samples.orientation),
                replace(samples.metadata, lost=tuple(lost), page_tags=_page_tags(file, page)),
                premultiplied=samples.premultiplied,
                channels=samples.channels,
            )


def write_tiff_pages(
    path: Path, images: Iterable[ImageData], *, byteorder: ByteOrder, big: bool, count: int
) -> tuple[str, ...]:
    """Write images as the pages of a TIFF file; return the names of everything that the file does not keep.

    Args:
        path: of the file.
        images: the pages, of any number of channels.
        byteorder: ``<`` or ``>``: that of the tags `Metadata.page_tags`.
        big: whether to write a BigTIFF file in any case.
        count: the number of pages.
    """
    lost: list[str] = []
    writer = None
    try:
        for image in images:
            samples, channels, metadata = fitted(path, image)
            metadata = metadata if metadata.page_tags else with_texts_only(metadata)
            if writer is None:
                big = big or count * samples.nbytes > _BIG
                writer = tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=big)
            options = page_options(samples, channels, metadata)
            if metadata.page_tags:
                options |= _tag_options(metadata.page_tags, byteorder)
            writer.write(**options, metadata=None, software=False, contiguous=False)
            lost += metadata.lost
    finally:
        if writer is not None:
            writer.close()
    return tuple(dict.fromkeys(lost))


def _single_directory_images(file: tifffile.TiffFile) -> int:
    """Return the number of images behind the only directory of an ImageJ stack of several gigabytes; else 0."""
    images = int((file.imagej_metadata or {}).get("images", 1)) if file.is_imagej else 1
    return images if images > 1 and len(file.pages) == 1 else 0


def _contiguous_images(path: Path, file: tifffile.TiffFile, count: int) -> Iterator[ImageData]:
    """Yield the images of an ImageJ stack that has one directory: they follow each other without compression."""
    page: Any = file.pages[0]
    first = read_page(path, page)
    kind, (offset, *_) = page.dtype.newbyteorder(file.byteorder), page.dataoffsets
    if offset + count * page.nbytes > file.filehandle.size:
        raise InputError(f"{path}: truncated TIFF: it should hold {count} images")
    stored = np.memmap(path, kind, "r", offset, (count, *first.values.shape))
    tags = _page_tags(file, page)
    for number, values in enumerate(stored, start=1):
        own = tags if number == 1 else tuple(tag for tag in tags if tag[0] != _DESCRIPTION)
        metadata = replace(first.metadata, page_tags=own)
        yield image_from_samples(f"{path}: page {number}", values.astype(page.dtype), metadata)


def _page_tags(file: tifffile.TiffFile, page: Any) -> tuple[PageTag, ...]:
    """Return the tags of a page that are copied, as they are stored."""
    found = []
    for code in (*_COPIED, _ACROSS, _DOWN, _UNIT):
        tag = page.tags.get(code)
        # tifffile describes the shape of what it writes, which may change.
        if tag is not None and not (code == _DESCRIPTION and file.is_shaped):
            file.filehandle.seek(tag.valueoffset)
            found.append((code, int(tag.dtype), file.filehandle.read(tag.valuebytecount)))
    return tuple(found)


def _tag_options(tags: tuple[PageTag, ...], byteorder: str) -> dict[str, Any]:
    """Return the arguments of tifffile that write copied tags."""
    stored = {code: value for code, _, value in tags}
    resolution = None
    if {_ACROSS, _DOWN} <= stored.keys():
        resolution = tuple(struct.unpack(f"{byteorder}II", stored[code]) for code in (_ACROSS, _DOWN))
    unit = struct.unpack(f"{byteorder}H", stored[_UNIT])[0] if _UNIT in stored else _INCH
    return {
        "extratags": [(code, kind, 0, value, True) for code, kind, value in tags if code in _COPIED],
        "iccprofile": None,
        "resolution": resolution,
        "resolutionunit": unit if resolution else None,
    }


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs in the block about pages and values beyond the end of a file, and leaves out."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said = record.getMessage()
            if "TiffPages" in said or "invalid value offset" in said:
                found.append(re.sub(r"^.*(?=(invalid|corrupted) )", "", said).strip("')"))

    handler, logger = Collect(), logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
