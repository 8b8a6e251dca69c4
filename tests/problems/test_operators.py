"""Forward operators: exact adjoints, norms never below the truth, closed forms, agreement with plain definitions."""

from __future__ import annotations

import math

import pytest
import torch
from deepinv.physics import SinglePixelCamera
from scipy.linalg import hadamard

from gradprox import InputError
from gradprox.problems import (
    BlockSensing,
    CircularBlur,
    HadamardSensing,
    ValidBlur,
    gaussian_kernel,
    gaussian_matrix,
    initial_picture,
    motion_kernel,
    squared_norm,
)
from gradprox.problems.compressed_sensing import _sequency_ranks

CASES = {
    "circular": (lambda: CircularBlur(motion_kernel(5, 30).double(), (9, 12)), (9, 12), True),
    "circular, even kernel": (
        lambda: CircularBlur(torch.ones(1, 1, 2, 4).double() / 8, (8, 7)),
        (8, 7),
        True,
    ),
    "valid": (lambda: ValidBlur(motion_kernel(5, 70).double(), (13, 11)), (13, 11), False),
    "hadamard": (lambda: HadamardSensing((8, 16), 40), (8, 16), True),
    "hadamard, padded": (lambda: HadamardSensing((7, 11), 30), (7, 11), False),
    "blocks": (lambda: BlockSensing(gaussian_matrix(5, 0, 4).double(), (8, 12)), (8, 12), True),
    "blocks, any matrix": (lambda: BlockSensing(torch.randn(5, 16).double(), (8, 8)), (8, 8), True),
    "blocks, padded": (lambda: BlockSensing(torch.randn(5, 16).double(), (7, 9)), (7, 9), False),
}


@pytest.fixture(params=CASES)
def case(request):
    build, size, exact = CASES[request.param]
    return build().double(), size, exact


def dense(physics, size):
    """Return the matrix of an operator, ``(m, H W)``."""
    units = torch.eye(math.prod(size), dtype=torch.float64).view(-1, 1, *size)
    return physics.A(units).flatten(1).T


def test_adjoint_is_exact(case):
    physics, size, _ = case
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    y = torch.randn_like(physics.A(x))
    torch.testing.assert_close((physics.A(x) * y).sum(), (x * physics.A_adjoint(y)).sum())


def test_norm_is_never_below_the_truth_and_exact_where_it_says_so(case):
    physics, size, exact = case
    truth = float(torch.linalg.matrix_norm(dense(physics, size), 2)) ** 2
    assert squared_norm(physics) >= truth * (1 - 1e-6)
    if exact:
        assert squared_norm(physics) == pytest.approx(truth, rel=1e-6)


def test_regularized_inverse_solves_its_equation(case):
    physics, size, _ = case
    if not hasattr(physics, "regularized_inverse"):
        pytest.skip("a valid convolution has no closed form")
    z = torch.randn(2, 1, *size, dtype=torch.float64)
    y = torch.randn_like(physics.A(z))
    x = physics.regularized_inverse(z, y, 0.3)
    if x is None:
        assert size in {(7, 11), (7, 9)}  # only where the picture is padded
        return
    residual = physics.A_adjoint(physics.A(x) - y) + 0.3 * (x - z)
    assert residual.abs().max() <= 1e-10


def test_start_has_the_shape_of_the_picture(case):
    physics, size, _ = case
    x = torch.rand(2, 1, *size, dtype=torch.float64)
    assert initial_picture(physics.A(x), physics).shape == x.shape


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


def test_block_sensing_multiplies_each_block():
    matrix = torch.randn(3, 4, dtype=torch.float64)
    x = torch.randn(1, 1, 4, 6, dtype=torch.float64)
    y = BlockSensing(matrix, (4, 6)).A(x)
    assert y.shape == (1, 1, 6, 3)
    torch.testing.assert_close(y[0, 0, 4], matrix @ x[0, 0, 2:4, 2:4].flatten())


def test_block_pseudo_inverse():
    matrix = torch.randn(3, 4, dtype=torch.float64)
    physics = BlockSensing(matrix, (2, 2)).double()
    y = torch.randn(1, 1, 1, 3, dtype=torch.float64)
    expected = (torch.linalg.pinv(matrix) @ y.flatten()).view(1, 1, 2, 2)
    torch.testing.assert_close(physics.A_dagger(y), expected)


def test_gaussian_rows_are_orthonormal_and_seeded():
    matrix = gaussian_matrix(20, seed=1, block=7)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(20), rtol=0, atol=1e-5)
    assert torch.equal(matrix, gaussian_matrix(20, seed=1, block=7))
    assert not torch.equal(matrix, gaussian_matrix(20, seed=2, block=7))


def test_circular_blur_is_a_convolution():
    kernel = motion_kernel(3, 0).double()
    x = torch.rand(1, 1, 6, 7, dtype=torch.float64)
    expected = (x.roll(1, -1) + x + x.roll(-1, -1)) / 3
    torch.testing.assert_close(CircularBlur(kernel, (6, 7)).A(x), expected, rtol=0, atol=1e-7)


def test_valid_blur_is_the_inside_of_the_circular_one():
    kernel = gaussian_kernel(0.8).double()
    x = torch.rand(1, 1, 15, 14, dtype=torch.float64)
    inside = ValidBlur(kernel, (15, 14))
    circular = CircularBlur(kernel, (15, 14)).A(x)
    torch.testing.assert_close(inside.A(x), inside.visible(circular), rtol=0, atol=1e-7)


def test_impossible_operators_are_refused():
    with pytest.raises(InputError, match="larger than the picture"):
        CircularBlur(gaussian_kernel(2.0), (9, 9))
    with pytest.raises(InputError, match="measurements must be between"):
        HadamardSensing((4, 4), 17)
    with pytest.raises(InputError, match=r"b\*b columns"):
        BlockSensing(torch.zeros(2, 5), (4, 4))
    with pytest.raises(InputError, match="measurements a block"):
        gaussian_matrix(0, seed=0)
