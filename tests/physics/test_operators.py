"""Forward operators: exact adjoints, norms never below the truth, closed forms, agreement with plain definitions."""

from __future__ import annotations

import math

import pytest
import torch
from deepinv.physics import Blur, Downsampling, SinglePixelCamera

from gradprox import InputError
from gradprox.physics import (
    BlockSensing,
    CircularBlur,
    FourierSensing,
    HadamardSensing,
    Inpainting,
    SingleCoilMRI,
    SuperResolution,
    SymmetricBlur,
    gaussian_kernel,
    gaussian_matrix,
    initial_image,
    squared_norm,
)
from tests.physics.cases import CASES

# Where least squares have no closed form.
WITHOUT_CLOSED_FORM = {
    "valid",
    "valid, even kernel",
    "valid, a kernel a channel",
    "symmetric, asymmetric",
    "symmetric, even kernel",
    "symmetric, signed kernel",
    "hadamard, padded",
    "blocks, padded",
}


@pytest.fixture(params=CASES)
def case(request):
    build, shape, exact = CASES[request.param]
    return build().double(), shape, exact


def dense(physics, shape):
    """Return the matrix of an operator, ``(m, C H W)``."""
    units = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    return physics.A(units).flatten(1).T


def test_adjoint_is_exact(case):
    physics, shape, _ = case
    x = torch.randn(2, *shape, dtype=torch.float64)
    y = torch.randn_like(physics.A(x))
    torch.testing.assert_close((physics.A(x) * y).sum(), (x * physics.A_adjoint(y)).sum())


def test_norm_is_never_below_the_truth_and_exact_where_it_says_so(case):
    physics, shape, exact = case
    truth = float(torch.linalg.matrix_norm(dense(physics, shape), 2)) ** 2
    assert squared_norm(physics) >= truth * (1 - 1e-6)
    if exact:
        assert squared_norm(physics) == pytest.approx(truth, rel=1e-6)


def filters(*shape):
    """Return random filters with negative values."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# Operators of deepinv, the shape of their images, whether their norm is exact.
THEIRS = {
    "valid": (lambda: Blur(filters(1, 1, 3, 4), "valid"), (1, 8, 7), False),
    "circular": (lambda: Blur(filters(1, 1, 3, 4).abs(), "circular"), (1, 8, 7), True),
    "signed": (lambda: Blur(filters(1, 1, 3, 4), "circular"), (1, 8, 7), False),
    "constant": (lambda: Blur(filters(1, 2, 5, 3), "constant"), (2, 8, 7), False),
    "by Fourier": (lambda: Blur(filters(1, 1, 3, 3), "circular", use_fft=True), (1, 8, 7), False),
    "downsampling": (lambda: Downsampling((1, 8, 6), filters(1, 1, 3, 4), 2), (1, 8, 6), False),
    "bicubic": (lambda: Downsampling((1, 8, 8), "bicubic", 2), (1, 8, 8), False),
    "decimation": (lambda: Downsampling((1, 8, 6), None, 2), (1, 8, 6), True),
    "single pixel": (lambda: SinglePixelCamera(m=9, img_size=(1, 4, 4)), (1, 4, 4), True),
}


@pytest.mark.parametrize("name", THEIRS)
def test_norms_of_operators_of_deepinv(name):
    build, shape, exact = THEIRS[name]
    physics = build().double()
    truth = float(torch.linalg.matrix_norm(dense(physics, shape), 2)) ** 2
    assert squared_norm(physics) >= truth * (1 - 1e-6)
    if exact:
        assert squared_norm(physics) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_a_blur_that_repeats_pixels_has_no_proven_norm(padding):
    corner = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    corner[..., 0, 0] = 1
    physics = Blur(corner, padding)
    assert float(torch.linalg.matrix_norm(dense(physics, (1, 4, 4)), 2)) > 1.2
    with pytest.raises(InputError, match="no proven norm"):
        squared_norm(physics)


@pytest.mark.parametrize("name", CASES)
def test_regularized_inverse_solves_its_equation(name):
    build, shape, _ = CASES[name]
    physics = build().double()
    z = torch.randn(2, *shape, dtype=torch.float64)
    y = torch.randn_like(physics.A(z))
    closed_form = getattr(physics, "regularized_inverse", lambda *_: None)
    x = closed_form(z, y, 0.3)
    assert (x is None) == (name in WITHOUT_CLOSED_FORM)
    if x is not None:
        residual = physics.A_adjoint(physics.A(x) - y) + 0.3 * (x - z)
        assert residual.abs().max() <= 1e-10


def test_start_has_the_shape_of_the_image(case):
    physics, shape, _ = case
    x = torch.rand(2, *shape, dtype=torch.float64)
    assert initial_image(physics.A(x), physics).shape == x.shape


def test_single_precision_stays_single(case):
    physics, shape, _ = case
    x = torch.rand(1, *shape)
    y = physics.float().A(x)
    assert y.dtype == physics.A_adjoint(y).dtype == initial_image(y, physics).dtype == torch.float32
    torch.testing.assert_close(y, physics.double().A(x.double()).float(), rtol=0, atol=1e-5)


def test_block_sensing_multiplies_each_block():
    matrix = torch.randn(3, 4, dtype=torch.float64)
    x = torch.randn(1, 1, 4, 6, dtype=torch.float64)
    y = BlockSensing(matrix, (4, 6)).A(x)
    assert y.shape == (1, 1, 6, 3)
    torch.testing.assert_close(y[0, 0, 4], matrix @ x[0, 0, 2:4, 2:4].flatten())


@pytest.mark.parametrize(
    "matrix",
    [
        torch.randn(3, 4, dtype=torch.float64),
        2 * gaussian_matrix(3, seed=0, block=2).double(),
        torch.linalg.qr(torch.randn(4, 3, dtype=torch.float64))[0].T.contiguous(),
        torch.eye(3, 4, dtype=torch.float64) * torch.tensor([1, 1, 1 + 1e-6], dtype=torch.float64)[:, None],
        torch.zeros(3, 4, dtype=torch.float64),
    ],
    ids=["any", "rounded", "orthonormal", "nearly orthogonal", "zero"],
)
def test_block_pseudo_inverse(matrix):
    physics = BlockSensing(matrix, (2, 2)).double()
    y = torch.randn(1, 1, 1, 3, dtype=torch.float64)
    expected = (torch.linalg.pinv(matrix) @ y.flatten()).view(1, 1, 2, 2)
    torch.testing.assert_close(physics.A_dagger(y), expected)


def test_gaussian_rows_are_orthonormal_and_seeded():
    matrix = gaussian_matrix(20, seed=1, block=7)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(20), rtol=0, atol=1e-5)
    assert torch.equal(matrix, gaussian_matrix(20, seed=1, block=7))
    assert not torch.equal(matrix, gaussian_matrix(20, seed=2, block=7))


def test_impossible_operators_are_refused():
    for build, message in (
        (lambda: CircularBlur(gaussian_kernel(2.0), (9, 9)), "larger than the image"),
        (lambda: SymmetricBlur(gaussian_kernel(2.0), (9, 9)), "larger than the image"),
        (lambda: CircularBlur(torch.ones(3, 3), (9, 9)), r"a kernel is .* got \(3, 3\)"),
        (lambda: CircularBlur("disk:1", (9, 9)), "a kernel is a tensor .* got str"),
        (lambda: CircularBlur(gaussian_kernel(0.5), (1, 9, 9)), r"a size is \(H, W\), .* got \(1, 9, 9\)"),
        (lambda: SuperResolution((1, 8, 8), 2), "a size is"),
        (lambda: HadamardSensing((1, 8, 8), 4), "a size is"),
        (lambda: BlockSensing(torch.zeros(2, 4), (1, 4, 4)), "a size is"),
        (lambda: CircularBlur(torch.ones(1, 2, 3, 3), (9, 9), channels=3), "2 channels, the image 3"),
        (lambda: CircularBlur(gaussian_kernel(0.5), 9), r"a size is \(H, W\), .* got 9"),
        (lambda: HadamardSensing((4, 4), 17), "measurements must be a whole number between 1 and 16"),
        (lambda: HadamardSensing((4, 4), 2.5), "measurements must be a whole number between 1 and 16"),
        (lambda: FourierSensing((4, 4), 0), "measurements must be a whole number between 1 and 16"),
        (lambda: BlockSensing(torch.zeros(2, 5), (4, 4)), r"b\*b columns"),
        (lambda: BlockSensing(torch.zeros(2, 4).half(), (4, 4)), "finite numbers of float32 or float64"),
        (lambda: BlockSensing(torch.full((2, 4), torch.nan), (4, 4)), "finite numbers of float32 or float64"),
        (lambda: BlockSensing(torch.zeros(0, 4), (4, 4)), r"b\*b columns"),
        (lambda: gaussian_matrix(0, seed=0), "measurements per block"),
        (lambda: SuperResolution((9, 9), 2), "multiple of the factor"),
        (lambda: Inpainting(-torch.ones(1, 1, 4, 4)), "a mask is"),
        (lambda: SingleCoilMRI(torch.full((4, 4), 0.5)), "zeros and ones"),
    ):
        with pytest.raises(InputError, match=message):
            build()
