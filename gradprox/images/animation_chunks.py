"""Animated PNG and WebP files, put together from PNG and WebP files of single frames.

Pillow writes animations too, but it holds all frames in memory, has no 16 bits, and merges frames that are equal.
Sources: W3C, Portable Network Graphics, third edition (chunks acTL, fcTL and fdAT); Google, WebP Container
Specification (chunks VP8X, ANIM and ANMF).
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

from gradprox.images.png_chunks import chunks_of, with_chunks


class EncodedFrame(NamedTuple):
    """A frame of an animation, as a file of its own.

    Attributes:
        content: the file.
        size: height and width.
        duration: in milliseconds.
    """

    content: bytes
    size: tuple[int, int]
    duration: float


_LONGEST = 65_535  # of a frame of a PNG file, as numerator and as denominator of seconds
_REPLACE = 2  # the flag of a WebP frame that it is not blended with the frame before
_VP8X_FLAGS = {b"ICCP": 32, b"EXIF": 8, b"XMP ": 4}
_ALPHA, _ANIMATION = 16, 2


def write_apng(stream: BinaryIO, frames: Iterable[EncodedFrame], *, count: int, plays: int) -> None:
    """Write an animated PNG file.

    Args:
        stream: where to write.
        frames: PNG files of one size and kind. The first one's other chunks become those of the animation.
        count: the number of frames.
        plays: how often the animation is played; 0 for ever.
    """
    numbers = itertools.count()  # of fcTL and fdAT chunks
    for place, (content, size, duration) in enumerate(frames):
        chunks = [*chunks_of(content)]
        delay = Fraction(duration / 1000).limit_denominator(_LONGEST)
        begin = _png_chunk(
            b"fcTL",
            struct.pack(
                ">5I2H2B",
                *(next(numbers), size[1], size[0], 0, 0),
                *(min(delay.numerator, _LONGEST), delay.denominator),
                *(0, 0),  # the frame replaces the one before
            ),
        )
        pixels = [chunk for kind, chunk in chunks if kind == b"IDAT"]
        if place == 0:
            before = content[: content.index(pixels[0])]
            stream.write(with_chunks(before, _png_chunk(b"acTL", struct.pack(">II", count, plays))))
        else:
            pixels = [_png_chunk(b"fdAT", struct.pack(">I", next(numbers)) + c[8:-4]) for c in pixels]
        stream.write(begin + b"".join(pixels))
    stream.write(_png_chunk(b"IEND", b""))


def write_animated_webp(stream: BinaryIO, frames: Iterable[EncodedFrame], *, plays: int, alpha: bool) -> None:
    """Write an animated WebP file.

    Args:
        stream: where to write.
        frames: WebP files of one size. The first one's metadata become those of the animation.
        plays: how often the animation is played; 0 for ever.
        alpha: whether a frame has an alpha channel.
    """
    start = stream.tell()
    metadata: dict[bytes, bytes] = {}
    for number, (content, size, duration) in enumerate(frames):
        chunks = [*_riff_chunks(content)]
        measures = _three_bytes(size[1] - 1) + _three_bytes(size[0] - 1)
        if number == 0:
            metadata = {kind: data for kind, data in chunks if kind in _VP8X_FLAGS}
            flags = _ANIMATION | _ALPHA * alpha | sum(_VP8X_FLAGS[kind] for kind in metadata)
            stream.write(b"RIFF\0\0\0\0WEBP")  # the size follows at the end
            stream.write(_riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + measures))
            if b"ICCP" in metadata:
                stream.write(_riff_chunk(b"ICCP", metadata.pop(b"ICCP")))
            stream.write(_riff_chunk(b"ANIM", struct.pack("<IH", 0, min(plays, _LONGEST))))
        pixels = b"".join(
            _riff_chunk(kind, data) for kind, data in chunks if kind in (b"ALPH", b"VP8 ", b"VP8L")
        )
        head = bytes(6) + measures + _three_bytes(min(round(duration), 2**24 - 1)) + bytes([_REPLACE])
        stream.write(_riff_chunk(b"ANMF", head + pixels))
    for kind, data in metadata.items():
        stream.write(_riff_chunk(kind, data))
    end = stream.tell()
    stream.seek(start + 4)
    stream.write(struct.pack("<I", end - start - 8))
    stream.seek(end)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _riff_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    stream = io.BytesIO(content)
    stream.seek(12)  # after RIFF, the size of the file, WEBP
    while len(head := stream.read(8)) == 8:
        (size,) = struct.unpack("<I", head[4:])
        yield head[:4], stream.read(size)
        stream.seek(size % 2, io.SEEK_CUR)


def _three_bytes(value: int) -> bytes:
    return struct.pack("<I", value)[:3]
