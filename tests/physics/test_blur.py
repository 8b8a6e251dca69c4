"""Blurs are what their boundaries say, for every image and channel, and as deepinv computes them."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox.physics import (
    CircularBlur,
    SymmetricBlur,
    ValidBlur,
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    squared_norm,
)
from gradprox.physics.symmetric_blur import _bound
from tests.physics.cases import kernels

SIZE = (14, 15)


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


@pytest.mark.parametrize("kernel", [kernels(1, 1, 5, 4), kernels(1, 3, 3, 6), kernels(2, 1, 4, 4)])
def test_valid_and_circular_blur_agree_with_deepinv(kernel):
    x = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    for ours, padding in ((ValidBlur(kernel, SIZE), "valid"), (CircularBlur(kernel, SIZE, 3), "circular")):
        theirs = deepinv.physics.Blur(filter=kernel, padding=padding, use_fft=True)
        y = ours.A(x)
        torch.testing.assert_close(y, theirs.A(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.A_adjoint(y), theirs.A_adjoint(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", [kernels(1, 1, 5, 4), kernels(1, 3, 3, 6), kernels(2, 1, 4, 4)])
def test_symmetric_blur_is_a_valid_one_of_the_mirrored_image(kernel):
    x = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    mirrored = torch.cat([x.flip(-2), x, x.flip(-2)], dim=-2)
    mirrored = torch.cat([mirrored.flip(-1), mirrored, mirrored.flip(-1)], dim=-1)
    periodic = deepinv.physics.Blur(filter=kernel, padding="circular", use_fft=True).A(mirrored)
    inside = periodic[..., SIZE[0] : 2 * SIZE[0], SIZE[1] : 2 * SIZE[1]]
    torch.testing.assert_close(SymmetricBlur(kernel, SIZE).A(x), inside, rtol=0, atol=1e-12)


@pytest.mark.parametrize("build", [CircularBlur, ValidBlur, SymmetricBlur])
def test_each_image_and_channel_has_its_own_kernel(build):
    kernel = kernels(2, 3, 3, 5)
    more = (3,) if build is CircularBlur else ()
    together = build(kernel, SIZE, *more)
    x = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    y = together.A(x)
    adjoint = together.A_adjoint(y)
    norms = []
    for b in range(2):
        for c in range(3):
            alone = build(kernel[b : b + 1, c : c + 1], SIZE)
            torch.testing.assert_close(alone.A(x[b : b + 1, c : c + 1])[0, 0], y[b, c], rtol=0, atol=1e-12)
            torch.testing.assert_close(alone.A_adjoint(y[b : b + 1, c : c + 1])[0, 0], adjoint[b, c])
            norms.append(squared_norm(alone))
    assert squared_norm(together) == pytest.approx(max(norms), rel=1e-9)


def test_symmetry_of_kernels_is_seen():
    for kernel, symmetric in (
        (gaussian_kernel(1.0), True),
        (disk_kernel(2.0), True),
        (motion_kernel(7, 0), True),
        (motion_kernel(7, 90), True),
        (motion_kernel(7, 45), False),
        (torch.ones(1, 1, 2, 3) / 6, False),
    ):
        assert (SymmetricBlur(kernel, SIZE).eigenvalues is not None) == symmetric


def test_bound_of_a_symmetric_blur_is_tight():
    kernel = kernels(1, 1, 3, 5)
    physics = SymmetricBlur(kernel, (10, 9))
    units = torch.eye(90, dtype=torch.float64).view(-1, 1, 10, 9)
    truth = float(torch.linalg.matrix_norm(physics.A(units).flatten(1).T, 2)) ** 2
    assert truth <= _bound(kernel, (10, 9)) <= 1.1 * truth
    assert _bound(kernel, (10, 9)) < float(physics.A_adjoint(torch.ones(1, 1, 10, 9).double()).max())
