"""Border rules: the symmetric and the circular extension, and the exact adjoint of both."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks.borders import crop, extend, fold, mirrored_indices


def test_mirroring_repeats_the_edge_pixel_and_continues_beyond_one_period():
    assert mirrored_indices(3, 4).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]
    assert mirrored_indices(1, 2).tolist() == [0, 0, 0, 0, 0]


def test_margins_of_both_sides_may_differ():
    assert mirrored_indices(4, 1, 3).tolist() == [0, 0, 1, 2, 3, 3, 2, 1]
    assert mirrored_indices(4, 2, 0).tolist() == [1, 0, 0, 1, 2, 3]


def test_the_circular_extension_repeats_the_image():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert torch.equal(extend(x, 3, "circular"), x.roll(1, -2).repeat(1, 1, 4, 3))
    assert torch.equal(crop(extend(x, 2, "circular"), 2), x)


@pytest.mark.parametrize("boundary", ["circular", "symmetric"])
@pytest.mark.parametrize("size", [(4, 5), (1, 6), (1, 1)])
@pytest.mark.parametrize("margin", [0, 1, 3, 9])
def test_fold_is_the_adjoint_of_extend(boundary, size, margin):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    extended = extend(x, margin, boundary)
    z = torch.randn_like(extended)
    left, right = (extended * z).sum(), (x * fold(z, margin, boundary)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_one_period_of_the_mirrored_torus_has_four_copies():
    # The fact behind the bound of symmetric convolutions, E^T E = 4 I.
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    period = extend(x, 4)[..., 4:, 4:]
    torch.testing.assert_close(period.square().sum(), 4 * x.square().sum(), rtol=1e-12, atol=0)
