"""Operators refuse what they are not made for, in one line that names the argument."""

from __future__ import annotations

import pytest
import torch

from gradprox import InputError
from gradprox.physics import (
    BlockSensing,
    CircularBlur,
    CosineSensing,
    FourierSensing,
    HadamardSensing,
    Physics,
    StructuredSensing,
    SymmetricBlur,
    ValidBlur,
    blur_of_images,
    blur_of_photos,
    gaussian_matrix,
    gaussian_noise,
    poisson_noise,
    squared_norm,
)
from tests.physics.cases import CASES, kernels

SIZE = (12, 13)
BLURS = {
    "circular": lambda kernel, channels=1: CircularBlur(kernel, SIZE, channels),
    "valid": lambda kernel, channels=1: ValidBlur(kernel, SIZE),
    "symmetric": lambda kernel, channels=1: SymmetricBlur(kernel, SIZE),
}


def wrong_tensors(values):
    """Yield tensors that resemble ``values``, with the words that must stand in the message."""
    yield values[..., :-1], r"expected a tensor \(B, .*\) of float32 or float64, got float64 \("
    yield values[0], "got float64"
    yield values[:0], r"got float64 \(0, "
    yield values.to(torch.complex128), "got complex128"
    yield values.half(), "got float16"
    yield values.bfloat16(), "got bfloat16"
    yield values.long(), "got int64"
    yield values.numpy(), "got ndarray"


@pytest.mark.parametrize("name", [name for name in CASES if name != "denoising"])
def test_images_and_measurements_of_another_kind_are_refused(name):
    build, shape, _ = CASES[name]
    physics = build().double()
    x = torch.rand(2, *shape, dtype=torch.float64)
    y = physics.A(x)
    for wrong, message in wrong_tensors(x):
        with pytest.raises(InputError, match=f"^x: .*{message}"):
            physics.A(wrong)
    closed_form = physics.regularized_inverse(x, y, 0.1) is not None
    for wrong, message in wrong_tensors(y):
        for use in (physics.A_adjoint, physics.initial):
            with pytest.raises(InputError, match=f"^y: .*{message}"):
                use(wrong)
        if closed_form:
            with pytest.raises(InputError, match=f"^y: .*{message}"):
                physics.regularized_inverse(x, wrong, 0.1)


def test_the_identity_refuses_types_too():
    physics = CASES["denoising"][0]()
    with pytest.raises(InputError, match=r"^y: .*got float16"):
        physics.A_adjoint(torch.zeros(1, 1, 4, 4).half())
    with pytest.raises(InputError, match=r"^x: .*got complex64"):
        physics.A(torch.zeros(1, 1, 4, 4).to(torch.complex64))


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("images", [1, 2])
def test_a_kernel_for_each_of_three_images_fits_three_images_only(blur, images):
    physics = BLURS[blur](kernels(3, 1, 3, 3))
    x = torch.rand(3, 1, *SIZE, dtype=torch.float64)
    y = physics.A(x)
    with pytest.raises(InputError, match=f"^x: expected a batch of 3, one for each kernel .* got {images}"):
        physics.A(x[:images])
    for use in (physics.A_adjoint, physics.initial):
        with pytest.raises(
            InputError, match=f"^y: expected a batch of 3, one for each kernel .* got {images}"
        ):
            use(y[:images])


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_kernel_of_two_channels_fits_images_of_two_channels_only(blur, channels):
    physics = BLURS[blur](kernels(1, 2, 3, 3), 2)
    with pytest.raises(InputError, match=r"^x: expected a tensor \(B, 2, 12, 13\)"):
        physics.A(torch.rand(1, channels, *SIZE, dtype=torch.float64))
    for build in (blur_of_images, blur_of_photos):
        with pytest.raises(InputError, match=f"the kernel has 2 channels, the image {channels}"):
            build(blur, kernels(1, 2, 3, 3), SIZE, channels)


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda k: k.half(), "float32 or float64, got float16"),
        (lambda k: (9 * k).long(), "float32 or float64, got int64"),
        (lambda k: k.to(torch.complex64), "float32 or float64, got complex64"),
        (lambda k: k * torch.nan, "NaN or infinite"),
        (lambda k: k / 0, "NaN or infinite"),
    ],
    ids=["half", "integers", "complex", "nan", "infinite"],
)
def test_kernels_of_other_kinds_are_refused(blur, spoil, message):
    with pytest.raises(InputError, match=message):
        BLURS[blur](spoil(kernels(1, 1, 3, 3)))


@pytest.mark.parametrize("name", [name for name in CASES if name != "denoising"])
def test_an_operator_in_half_precision_is_refused(name):
    # Its norm was proven for other parameters, and Fourier transforms have no half precision.
    build, shape, _ = CASES[name]
    physics = build().half()
    if not any(buffer.is_floating_point() for buffer in physics.buffers()):
        pytest.skip("nothing in it has a precision")
    with pytest.raises(InputError, match="computes in float32 or float64, not in half precision"):
        physics.A(torch.rand(1, *shape))


def test_a_matrix_of_another_precision_says_so():
    physics = BlockSensing(gaussian_matrix(4, 0, 4), (8, 8))
    for use, name in ((physics.A, "x"), (physics.A_adjoint, "y"), (physics.initial, "y")):
        shape = (1, 1, 8, 8) if name == "x" else (1, 1, 4, 4)
        with pytest.raises(InputError, match=rf"^{name}: has type torch.float64, the matrix torch.float32"):
            use(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("seed", [2**64, -1, 1.5, True])
def test_seeds_out_of_range_are_refused(seed):
    for build in (
        lambda: HadamardSensing((8, 8), 20, seed=seed),
        lambda: CosineSensing((8, 8), 20, seed=seed),
        lambda: FourierSensing((8, 8), 20, seed=seed),
        lambda: StructuredSensing((8, 8), 20, seed=seed),
        lambda: gaussian_matrix(4, seed=seed, block=4),
    ):
        with pytest.raises(InputError, match=r"seed: expected a whole number between 0 and 2\^64 - 1"):
            build()


def test_the_largest_seed_is_a_seed():
    assert HadamardSensing((8, 8), 20, seed=2**64 - 1).indices.shape == (20,)


@pytest.mark.parametrize("size", [(0, 4), (4.0, 4), "ab", (4, -1)])
def test_sizes_that_are_none_are_refused(size):
    for build in (lambda: HadamardSensing(size, 4), lambda: ValidBlur(kernels(1, 1, 1, 1), size)):
        with pytest.raises(InputError, match="a size is"):
            build()


def test_noise_levels_and_measurements_that_are_none_are_refused():
    y = torch.rand(1, 1, 4, 4)
    for level in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="noise level must be finite and not negative"):
            gaussian_noise(y, level, torch.Generator())
    with pytest.raises(InputError, match="NaN or infinite"):
        poisson_noise(y * torch.nan, 0.1, torch.Generator())


@pytest.mark.parametrize("name", CASES)
def test_every_operator_keeps_the_contract(name):
    physics = CASES[name][0]()
    assert isinstance(physics, Physics)
    assert squared_norm(physics) == physics.squared_norm()
