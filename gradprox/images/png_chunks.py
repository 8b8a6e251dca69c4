"""Chunks of PNG files (W3C, Portable Network Graphics, third edition): those that Pillow has no place for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = 33  # the signature and the chunk IHDR
# Color space and light levels of the pixels; they stand before the palette and the pixels, in any order.
COLOR = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
# Read and written by Pillow, or needed only to decode the pixels.
_HANDLED = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"),
    *(b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"pHYs"),
    *(b"acTL", b"fcTL", b"fdAT"),
)


def extra_chunks(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """Return the chunks to copy byte by byte to another PNG file, and the names of the chunks that would be dropped.

    Copied are the color chunks, and private chunks that are marked safe to copy. Pillow has read the file before, which
    refuses damaged chunks.
    """
    copied, dropped = [], []
    for kind, chunk in chunks_of(path.read_bytes()):
        aspect_ratio = kind == b"pHYs" and chunk[-5:-4] == b"\0"  # not a resolution, so Pillow drops it
        private_and_safe = bool(kind[1] & 32 and kind[3] & 32)
        if kind in COLOR or aspect_ratio or (private_and_safe and kind not in _HANDLED):
            copied.append(chunk)
        elif kind not in _HANDLED:
            dropped.append(f"PNG chunk {kind.decode('latin-1')}")
    return b"".join(copied), tuple(dict.fromkeys(dropped))


def chunk_names(chunks: bytes) -> tuple[str, ...]:
    """Return the names of chunks that `extra_chunks` returned."""
    return tuple(f"PNG chunk {kind.decode('latin-1')}" for kind, _ in chunks_of(SIGNATURE + chunks))


def with_chunks(content: bytes, chunks: bytes) -> bytes:
    """Return a PNG file with chunks inserted after its header."""
    return content[:HEADER_END] + chunks + content[HEADER_END:]


def ancillary_chunks(content: bytes) -> bytes:
    """Return the chunks of a small PNG file that are neither its header nor its pixels."""
    return b"".join(chunk for kind, chunk in chunks_of(content) if kind not in (b"IHDR", b"IDAT", b"IEND"))


def chunks_of(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the bytes of each complete chunk."""
    position = len(SIGNATURE)
    while position + 12 <= len(content):
        length = 12 + int.from_bytes(content[position : position + 4], "big")
        if position + length > len(content):
            return
        kind = content[position + 4 : position + 8]
        yield kind, content[position : position + length]
        position += length
        if kind == b"IEND":
            return
