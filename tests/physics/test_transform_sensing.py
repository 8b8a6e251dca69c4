"""Sensing of whole images: the transforms are what they are called, the draws what they say."""

from __future__ import annotations

import math

import deepinv
import pytest
import torch
from deepinv.physics import SinglePixelCamera
from scipy.fft import dctn
from scipy.linalg import hadamard

from gradprox.physics import CosineSensing, FourierSensing, HadamardSensing, StructuredSensing
from gradprox.physics.cosine_transform import cosine_transform, inverse_cosine_transform
from gradprox.physics.hadamard_sensing import _sequency_ranks


def test_hadamard_agrees_with_its_matrix():
    physics = HadamardSensing((8, 4), 32, decay=math.inf)
    x = torch.randn(1, 1, 8, 4, dtype=torch.float64)
    rows = torch.as_tensor(hadamard(8), dtype=torch.float64) / math.sqrt(8)
    columns = torch.as_tensor(hadamard(4), dtype=torch.float64) / 2
    coefficients = (rows @ x[0, 0] @ columns).flatten()
    torch.testing.assert_close(physics.A(x)[0, 0], coefficients[physics.indices])
    torch.testing.assert_close(physics.A_adjoint(physics.A(x)), x)


def test_sequency_counts_sign_changes():
    changes = (torch.as_tensor(hadamard(16)).diff(dim=1) != 0).sum(dim=1)
    torch.testing.assert_close(_sequency_ranks(16), changes.double())


@pytest.mark.parametrize("sensing", [HadamardSensing, CosineSensing, FourierSensing, StructuredSensing])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_a_line_and_a_pixel_are_images_too(sensing, size):
    physics = sensing(size, max(1, math.prod(size) // 2)).double()
    x = torch.rand(1, 1, *size, dtype=torch.float64)
    y = torch.rand_like(physics.A(x))
    torch.testing.assert_close((physics.A(x) * y).sum(), (x * physics.A_adjoint(y)).sum())


def test_all_hadamard_coefficients_measure_what_deepinv_measures():
    physics = HadamardSensing((8, 8), 64)
    theirs = SinglePixelCamera(64, (1, 8, 8), fast=True)
    x = torch.rand(1, 1, 8, 8)
    # The same numbers in another order, up to deepinv's scaling.
    ours, other = physics.A(x).flatten().sort().values, theirs.A(x).flatten().sort().values
    torch.testing.assert_close(ours / ours.norm(), other / other.norm(), rtol=1e-4, atol=1e-5)


def test_low_sequencies_are_denser_and_the_constant_is_there():
    physics = HadamardSensing((64, 64), 1024, seed=3)
    chosen = torch.zeros(64 * 64).index_fill(0, physics.indices, 1).view(64, 64)
    order = _sequency_ranks(64).argsort()
    chosen = chosen[order][:, order]
    assert chosen[0, 0] == 1
    assert chosen[:16, :16].mean() > 0.8 > 0.2 > chosen[48:, 48:].mean() > 0
    assert len(physics.indices.unique()) == 1024
    assert torch.equal(physics.indices, HadamardSensing((64, 64), 1024, seed=3).indices)
    assert not torch.equal(physics.indices, HadamardSensing((64, 64), 1024, seed=4).indices)


@pytest.mark.parametrize("size", [(7, 10), (1, 5), (8, 3)])
def test_cosine_transform_is_scipys_and_orthonormal(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    coefficients = cosine_transform(x)
    expected = torch.from_numpy(dctn(x.numpy(), axes=(-2, -1), norm="ortho"))
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(inverse_cosine_transform(coefficients), x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [(9, 10), (8, 6)])
def test_fourier_coefficients_are_those_of_deepinvs_mri(size):
    x = torch.randn(1, 1, *size, dtype=torch.float64)
    physics = FourierSensing(size, 40)
    places = physics.indices
    hartley = torch.full((math.prod(size),), torch.nan, dtype=torch.float64)
    hartley[places] = physics.A(x).flatten()
    grid = hartley.view(size)
    opposite = grid.flip(0, 1).roll((1, 1), (0, 1))
    # deepinv counts pixels and frequencies from the middle.
    centered = torch.fft.fftshift(x, dim=(-2, -1))
    theirs = deepinv.physics.MRI(mask=torch.ones(size)).double().A(torch.cat([centered, 0 * x], dim=1))
    spectrum = torch.fft.ifftshift(torch.complex(theirs[0, 0], theirs[0, 1]))
    known = ~(grid.isnan() | opposite.isnan())
    assert int(known.sum()) in {39, 40}  # of the last pair a half may be missing
    torch.testing.assert_close(((grid + opposite) / 2)[known], spectrum.real[known])
    torch.testing.assert_close(((opposite - grid) / 2)[known], spectrum.imag[known])


def test_structured_sensing_is_a_part_of_deepinvs():
    physics = StructuredSensing((6, 7), 20, seed=3).double()
    theirs = deepinv.physics.StructuredRandom(
        (1, 6, 7),
        (1, 6, 7),
        transform_func=cosine_transform,
        transform_func_inv=inverse_cosine_transform,
        diagonals=[physics.signs[None]],
    )
    x = torch.randn(2, 1, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(physics.A(x), theirs.A(x).flatten(2)[..., physics.indices])
    y = torch.zeros(2, 1, 42, dtype=torch.float64)
    y[..., physics.indices] = physics.A(x)
    torch.testing.assert_close(physics.A_adjoint(physics.A(x)), theirs.A_adjoint(y.view(2, 1, 6, 7)))


def test_structured_sensing_sees_every_image_alike():
    # What the signs are for: a flat image is one coefficient without them.
    flat = StructuredSensing((64, 64), 1024, seed=1).A(torch.ones(1, 1, 64, 64))
    noise = StructuredSensing((64, 64), 1024, seed=1).A(torch.randn(1, 1, 64, 64))
    assert float(flat.square().mean()) == pytest.approx(1, abs=0.15)
    assert float(noise.square().mean()) == pytest.approx(1, abs=0.15)
    assert float(flat.abs().max()) < 5


@pytest.mark.parametrize("kind", [HadamardSensing, CosineSensing, FourierSensing, StructuredSensing])
def test_draws_are_repeatable_distinct_and_of_the_number_asked(kind):
    indices = kind((32, 48), 401, seed=3).indices
    assert len(indices.unique()) == 401
    assert torch.equal(indices, kind((32, 48), 401, seed=3).indices)
    assert not torch.equal(indices, kind((32, 48), 401, seed=4).indices)


@pytest.mark.parametrize("kind", [CosineSensing, FourierSensing])
def test_low_frequencies_are_denser_and_the_lowest_is_there(kind):
    chosen = torch.zeros(64 * 64).index_fill(0, kind((64, 64), 1024, seed=3).indices, 1).view(64, 64)
    assert chosen[0, 0] == 1
    if kind is FourierSensing:
        chosen = torch.fft.fftshift(chosen)[:32, :32].flip(0, 1)
        near, far = chosen[:8, :8], chosen[24:, 24:]
    else:
        near, far = chosen[:16, :16], chosen[48:, 48:]
    assert near.mean() > 0.8 > 0.2 > far.mean() > 0


def test_pairs_of_fourier_coefficients_are_drawn_whole():
    places = FourierSensing((12, 15), 81, seed=2).indices
    chosen = torch.zeros(12 * 15).index_fill(0, places, 1).view(12, 15)
    assert (chosen != chosen.flip(0, 1).roll((1, 1), (0, 1))).sum() <= 2
