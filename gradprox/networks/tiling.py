"""Tiles of an image: local operators give the same pixels tile by tile, faster and with less memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn


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

    def share(self, size: tuple[int, int]) -> float:
        """Return the share of the pixels of an image ``(height, width)`` that are in this rectangle."""
        return self.size[0] * self.size[1] / (size[0] * size[1])

    def of(self, x: Tensor) -> Tensor:
        """Return the part of ``(..., H, W)`` in this rectangle, as a view."""
        return x[..., self.top : self.bottom, self.left : self.right]

    def grown(self, margin: int) -> Tile:
        """Return this tile with its margin, in the coordinates of an image extended by ``margin`` pixels."""
        return Tile(self.top, self.bottom + 2 * margin, self.left, self.right + 2 * margin)

    def within(self, size: tuple[int, int], margin: int) -> Tile:
        """Return this tile with a margin of at most ``margin`` pixels, clipped to an image of the given size."""
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


class Piece(nn.Module):
    """Passes on the result of one tile. It is a module, so that forward hooks can follow a pass: see `follow`."""

    def forward(self, found: Tensor, share: float) -> Tensor:  # noqa: ARG002  hooks read the share
        """Return ``found``, the result of a tile with this share of the pixels of its image."""
        return found


def is_tiled(network: nn.Module) -> bool:
    """Return whether a network computes images tile by tile itself, not only a part of it."""
    return any(isinstance(module, Piece) for module in network.children())


def follow(network: nn.Module, report: Callable[[float], None]) -> None:
    """Call ``report`` after each tile of each pass of a network, with the share of the pixels that the tile has.

    Networks that compute an image in one piece report nothing.
    """
    for module in network.modules():
        if isinstance(module, Piece):
            module.register_forward_hook(lambda _, inputs, __: report(inputs[1]))


def tiles(size: tuple[int, int], side: int) -> Iterator[Tile]:
    """Yield the fewest tiles of at most ``side x side`` pixels that cover ``(height, width)``, all of similar size."""
    rows, columns = (_cuts(length, side) for length in size)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            yield Tile(top, bottom, left, right)


def _cuts(length: int, side: int) -> list[int]:
    parts = -(-length // side)
    return [length * part // parts for part in range(parts + 1)]
