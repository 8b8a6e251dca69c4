"""Tiles cover every pixel once."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks.borders import extend
from gradprox.networks.tiling import tiles


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 65), (200, 3)])
@pytest.mark.parametrize("side", [1, 4, 64])
def test_tiles_cover_every_pixel_once(size, side):
    count = torch.zeros(size)
    for tile in tiles(size, side):
        assert max(tile.size) <= side
        tile.of(count)[...] += 1
    assert (count == 1).all()


def test_a_grown_tile_is_the_tile_with_its_margin():
    x = torch.arange(30.0).view(1, 1, 5, 6)
    extended = extend(x, 2)
    for tile in tiles((5, 6), 3):
        piece = tile.grown(2).of(extended)
        assert torch.equal(piece[..., 2:-2, 2:-2], tile.of(x))
