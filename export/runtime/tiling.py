"""Cutting an image into overlapping tiles; the inner pixels of each are kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """An interval of one axis: pixels ``first`` to ``last - 1`` are read, and ``start`` to ``stop - 1`` are kept."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def read(self) -> slice:
        """The pixels to read, in the image."""
        return slice(self.first, self.last)

    @property
    def kept(self) -> slice:
        """The pixels to keep, in the image."""
        return slice(self.start, self.stop)

    @property
    def inner(self) -> slice:
        """The pixels to keep, in the tile."""
        return slice(self.start - self.first, self.stop - self.first)


def spans(length: int, side: int, halo: int, cell: int = 1) -> Iterator[Span]:
    """Yield the fewest intervals of at most ``side`` pixels that make up an axis, all of about the same length.

    Each is read with ``halo`` or more pixels on either side, except at the ends of the axis. There the model itself
    extends the image, by its own rule. A model with coarse scales divides an image into cells, from the first pixel on.
    So what is read begins at a multiple of ``cell``, and cells are the same as in the whole image.
    """
    parts = -(-length // side)
    for start, stop in pairwise(length * part // parts for part in range(parts + 1)):
        yield Span(start, stop, max(0, start - halo) // cell * cell, min(length, stop + halo))
