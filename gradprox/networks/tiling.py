"""Cutting an image into tiles: exact for local operators, and faster and smaller in memory than whole maps."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

# From malloc.h. A block may be 32 MB at most: larger than a map of one image's tile in any shipped model, whose maps
# together take less than 256 MB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK, KEPT = 2**25, 2**28


class Tile(NamedTuple):
    """A rectangle of pixels: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Return ``(height, width)``."""
        return self.bottom - self.top, self.right - self.left

    def of(self, x: Tensor) -> Tensor:
        """Return the view of this rectangle in ``(..., H, W)``."""
        return x[..., self.top : self.bottom, self.left : self.right]

    def grown(self, margin: int) -> Tile:
        """Return this tile with ``margin`` pixels around it, in an image that was extended by as many."""
        return Tile(self.top, self.bottom + 2 * margin, self.left, self.right + 2 * margin)

    def within(self, size: tuple[int, int], margin: int) -> Tile:
        """Return this tile with up to ``margin`` pixels around it, as far as an image of that size goes."""
        return Tile(
            max(0, self.top - margin),
            min(size[0], self.bottom + margin),
            max(0, self.left - margin),
            min(size[1], self.right + margin),
        )

    def relative_to(self, other: Tile) -> Tile:
        """Return this tile in the coordinates of a tile that contains it."""
        return Tile(
            self.top - other.top, self.bottom - other.top, self.left - other.left, self.right - other.left
        )


def tiles(size: tuple[int, int], side: int) -> Iterator[Tile]:
    """Cut ``(height, width)`` into the fewest rectangles of at most ``side x side``, all of about one size."""
    rows, columns = (_cuts(length, side) for length in size)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            yield Tile(top, bottom, left, right)


def keep_freed_memory() -> None:
    """Have the C library keep the memory that the maps of one tile leave, for those of the next.

    By its own rules glibc gives large blocks back to the system, which hands them out again a page at a time: two
    fifths of a pass. With these settings (mallopt(3)) the process keeps up to `KEPT` bytes that it does not use.
    Settings in the environment (``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_``, ``GLIBC_TUNABLES``) go first;
    other C libraries have rules of their own.
    """
    chosen = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys()
    if sys.platform != "linux" or chosen or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def _cuts(length: int, side: int) -> list[int]:
    parts = -(-length // side)
    return [length * part // parts for part in range(parts + 1)]
