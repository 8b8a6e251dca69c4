"""Cutting an image into overlapping windows, from each of which some pixels are kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of one axis: pixels ``start`` to ``stop - 1`` are kept of those from ``first`` to ``last - 1``."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def read(self) -> slice:
        """What is cut out."""
        return slice(self.first, self.last)

    @property
    def kept(self) -> slice:
        """Where the kept pixels belong."""
        return slice(self.start, self.stop)

    @property
    def inner(self) -> slice:
        """Where they stand in what was cut out."""
        return slice(self.start - self.first, self.stop - self.first)


def spans(length: int, side: int, halo: int) -> Iterator[Span]:
    """Cut an axis into the fewest stretches of at most ``side`` pixels, all of about one length.

    Each is read with ``halo`` pixels on either side. At the ends of the axis there are none: the model itself
    continues the image there, and does so exactly.
    """
    parts = -(-length // side)
    for start, stop in pairwise(length * part // parts for part in range(parts + 1)):
        yield Span(start, stop, max(0, start - halo), min(length, stop + halo))
