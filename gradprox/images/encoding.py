"""How a source file was compressed, so that the restored image is not compressed harder.

A JPEG file is written with the source's chroma subsampling and with quantization steps at most as large as the
source's; a lossless source gives a lossless WebP file; without a source, nothing is subsampled. A TIFF file is
compressed without losses (except next to an Exif directory, see `gradprox.images.eight_bit`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

JPEG_QUALITY = 95  # libjpeg's scale; finer sources keep their own quantization steps
WEBP_LOSSY_QUALITY = 100  # a WebP file does not store its quality, and no source has a higher one
FULL, HALF_WIDTH, QUARTER = 0, 1, 2  # Pillow's numbers of 4:4:4, 4:2:2 and 4:2:0
Table = tuple[int, ...]
# Lossless compressions that are kept, by their number in a TIFF file: the names of tifffile and of Pillow. Files with
# any other compression, or with none, are written with deflate.
DEFLATE = "adobe_deflate"
TIFF_COMPRESSIONS = {5: "lzw", 8: DEFLATE, 32773: "packbits"}


@dataclass(frozen=True)
class Encoding:
    """The compression of a source.

    Attributes:
        lossy: whether the source's pixels were compressed with losses.
        subsampling: of the chroma channels: 0 none (4:4:4), 1 halves the width (4:2:2), 2 also the height (4:2:0).
        quantization: the quantization tables of luma and chroma of a JPEG file, 64 steps each, by row and
            column of the frequency.
        progressive: whether a JPEG file is progressive.
        tiff: the lossless compression of a TIFF file, a key of `TIFF_COMPRESSIONS`.
    """

    lossy: bool = False
    subsampling: int = FULL
    quantization: tuple[Table, Table] | None = None
    progressive: bool = False
    tiff: str = DEFLATE

    @property
    def luma_steps(self) -> NDArray[np.int64] | None:
        """The quantization steps of luma, ``(8, 8)`` by row and column of the frequency, in gray levels; or None."""
        return None if self.quantization is None else np.reshape(self.quantization[0], (8, 8))

    def transposed(self) -> Encoding:
        """Return the compression of the image with rows and columns exchanged."""
        if self.quantization is None:
            return self
        luma, chroma = (tuple(np.reshape(t, (8, 8)).T.flatten().tolist()) for t in self.quantization)
        return replace(self, quantization=(luma, chroma))

    def jpeg_options(self) -> dict[str, Any]:
        """Return Pillow's options for a JPEG file: no step is larger than the source's, nor than at quality 95."""
        luma, chroma = _tables_of_quality(JPEG_QUALITY)
        if self.quantization is not None:
            luma = _finest([luma, self.quantization[0]])
            chroma = _finest([chroma, self.quantization[1]])
        return {
            "qtables": [list(luma), list(chroma)],
            "subsampling": self.subsampling,
            "progressive": self.progressive,
        }

    def tiff_options(self) -> dict[str, Any]:
        """Return Pillow's options for a TIFF file."""
        return {"compression": self.tiff if self.tiff == "packbits" else f"tiff_{self.tiff}"}

    def webp_options(self) -> dict[str, Any]:
        """Return Pillow's options for a WebP file: lossy only if the source is lossy and 4:2:0, as lossy WebP is.

        ``exact`` keeps the colors of transparent pixels.
        """
        if self.lossy and self.subsampling == QUARTER:
            return {"quality": WEBP_LOSSY_QUALITY, "exact": True}
        return {"lossless": True, "exact": True}


LOSSLESS = Encoding()


def tiff_encoding(compression: int | None) -> Encoding:
    """Return the compression of a TIFF file with this value of the tag Compression."""
    return Encoding(tiff=TIFF_COMPRESSIONS.get(compression or 0, DEFLATE))


def jpeg_encoding(image: Image.Image) -> Encoding:
    """Return the compression of an opened JPEG file; `LOSSLESS` for another."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return LOSSLESS
    # A component is (identity, horizontal sampling, vertical sampling, number of its table).
    tables = [tuple(image.quantization[layer[3]]) for layer in image.layer if layer[3] in image.quantization]
    if not tables or any(len(table) != 64 or min(table) < 1 for table in tables):
        return Encoding(lossy=True)
    quantization = (tables[0], _finest(tables[1:]) if len(tables) > 1 else tables[0])
    # Pillow knows three samplings; others, such as 4:4:0, are written with all of their chroma.
    known = JpegImagePlugin.get_sampling(image)
    return Encoding(
        lossy=True,
        subsampling=known if known in (HALF_WIDTH, QUARTER) else FULL,
        quantization=quantization,
        progressive=bool(image.info.get("progressive")),
    )


def webp_encoding(stream: BinaryIO) -> Encoding:
    """Return the compression of a WebP file: its pixels are in a chunk ``VP8L`` (lossless) or ``VP8 `` (4:2:0)."""
    stream.seek(12)  # after RIFF, the size of the file, WEBP
    while len(header := stream.read(8)) == 8:
        kind, size = header[:4], int.from_bytes(header[4:], "little")
        if kind == b"ANMF":  # a frame of an animation: its pixels follow place, size and duration
            stream.seek(16, io.SEEK_CUR)
            continue
        if kind in (b"VP8L", b"VP8 "):
            return LOSSLESS if kind == b"VP8L" else Encoding(lossy=True, subsampling=QUARTER)
        stream.seek(size + size % 2, io.SEEK_CUR)
    return LOSSLESS


@cache
def _tables_of_quality(quality: int) -> tuple[Table, Table]:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer, formats=("JPEG",)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)  # noqa: S101  for the type checker
        return tuple(image.quantization[0]), tuple(image.quantization[1])


def _finest(tables: Sequence[Table]) -> Table:
    """Return the smallest of the steps at each frequency."""
    return tuple(min(steps) for steps in zip(*tables, strict=True))
