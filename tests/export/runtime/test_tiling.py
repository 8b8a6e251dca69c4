"""Tiles: exact, and cut so that every pixel is kept once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradprox.errors import InputError
from gradprox.export.runtime import OnnxDenoiser
from gradprox.export.runtime.tiling import spans
from tests.export.small_networks import images


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 1, 40), (2, 1, 57, 83)])
def test_tiles_equal_the_whole_bit_for_bit(denoiser_file: Path, shape: tuple[int, ...]) -> None:
    y = images(*shape)
    whole = OnnxDenoiser(denoiser_file, tile=None)(y, 0.1)
    for tile in (1, 5, 16, 40, 1000):
        if tile > 1 or y.size < 100:
            np.testing.assert_array_equal(OnnxDenoiser(denoiser_file, tile=tile)(y, 0.1), whole)


def test_threads_take_tiles_each_with_the_same_result(denoiser_file: Path) -> None:
    y, shares = images(2, 1, 57, 83), list[float]()
    alone, together = (OnnxDenoiser(denoiser_file, tile=16, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(together(y, 0.1, callback=shares.append), alone(y, 0.1))
    assert "_one_thread" in vars(together)
    assert "_one_thread" not in vars(alone)
    assert sum(shares) == pytest.approx(1)
    y[1, 0, 50, 70] = np.nan
    with pytest.raises(InputError, match="NaN"):
        together(y, 0.1)


def test_a_halo_one_pixel_short_would_be_noticed(denoiser_file: Path) -> None:
    y = images(1, 1, 57, 83)
    denoiser = OnnxDenoiser(denoiser_file, tile=16)
    denoiser.halo -= 1
    assert not np.array_equal(denoiser(y, 0.1), OnnxDenoiser(denoiser_file, tile=None)(y, 0.1))


def test_spans_cover_once() -> None:
    for length in (1, 7, 64, 100):
        for side in (1, 3, 64, 200):
            cut = list(spans(length, side, 5))
            assert [i for s in cut for i in range(s.start, s.stop)] == list(range(length))
            assert all(s.stop - s.start <= side and s.first >= 0 and s.last <= length for s in cut)
            line = np.arange(length)
            assert all((line[s.read][s.inner] == line[s.kept]).all() for s in cut)
            aligned = list(spans(length, side, 5, 4))
            assert [(s.start, s.stop, s.last) for s in aligned] == [(s.start, s.stop, s.last) for s in cut]
            assert all(s.first % 4 == 0 and s.first <= t.first for s, t in zip(aligned, cut, strict=True))
