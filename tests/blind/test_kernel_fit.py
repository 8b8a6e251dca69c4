"""The steps of the estimation of a free kernel, against dense algebra and on images with known answers."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import nnls

from gradprox.blind.free_kernel import free_kernel, refitted_kernel
from gradprox.blind.kernel_step import centered, fitted_kernel, plausible_kernel
from gradprox.blind.periodic import difference_responses, differences, periodic_extension, transfer_function
from gradprox.blind.sharp_edges import sharp_edges
from gradprox.blind.textured_part import textured_part
from gradprox.physics import CircularBlur, gaussian_kernel
from tests.blind.photos import photo_of, shake, similarity


def test_transfer_functions_are_those_of_the_blur():
    kernel, x = torch.rand(1, 1, 5, 3, dtype=torch.float64), torch.rand(1, 1, 12, 15, dtype=torch.float64)
    blurred = torch.fft.irfft2(torch.fft.rfft2(x) * transfer_function(kernel, (12, 15)), s=(12, 15))
    torch.testing.assert_close(blurred, CircularBlur(kernel, (12, 15)).A(x))
    slopes = torch.fft.irfft2(torch.fft.rfft2(x) * difference_responses(x), s=(12, 15))
    torch.testing.assert_close(slopes, differences(x))


def test_an_extended_photo_has_no_jump():
    ramp = torch.linspace(0, 1, 40, dtype=torch.float64).view(1, 1, 1, 40).expand(1, 1, 30, 40)
    extended = periodic_extension(ramp, 10)
    assert extended[..., :30, :40].equal(ramp)
    assert min(extended.shape[-2] - 30, extended.shape[-1] - 40) >= 10
    assert float(differences(ramp)[:, 0].abs().max()) == pytest.approx(1)  # from the end to the start
    assert float(differences(extended).abs().max()) < 0.2


@pytest.mark.parametrize("side", [3, 5])
def test_the_kernel_is_the_nonnegative_damped_least_squares_solution(side):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 1, 12, 15, dtype=torch.float64, generator=generator)
    inside = torch.rand(12, 15, dtype=x.dtype, generator=generator)
    useful = torch.rand(1, 1, 12, 15, dtype=x.dtype, generator=generator)
    slopes, middle = differences(x) * inside * useful, side // 2
    columns = [
        slopes.roll((row - middle, column - middle), (-2, -1)).flatten()  # the kernel's middle is no shift
        for row in range(side)
        for column in range(side)
    ]
    damping = math.sqrt(0.3) * slopes.norm() * torch.eye(side**2, dtype=x.dtype)
    A = torch.cat([torch.stack(columns, dim=1), damping])
    b = torch.cat([(differences(y) * inside).flatten(), x.new_zeros(side**2)])
    expected, _ = nnls(A.numpy(), b.numpy())
    assert 0 < (expected == 0).sum() < side**2  # both constraints and free values
    found = fitted_kernel(x, y, side, 0.3, inside, useful, steps=1000)
    torch.testing.assert_close(found, torch.from_numpy(expected).view(1, 1, side, side))


def test_sharp_edges_are_restored_and_noise_is_flattened():
    step = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    step[..., 8:24, 8:24] = 1
    blurred = CircularBlur(shake().double(), (32, 32)).A(step)
    noise = 0.01 * torch.randn(step.shape, dtype=step.dtype, generator=torch.Generator().manual_seed(0))
    found = sharp_edges(blurred + noise, shake().double(), 4e-3)
    assert float((found - step).square().mean()) < 0.1 * float((blurred - step).square().mean())
    assert float(differences(found)[..., 12:20, 12:20].abs().max()) < 0.01


def test_implausible_values_of_a_kernel_are_removed():
    kernel = torch.zeros(1, 1, 9, 9)
    kernel[0, 0, 3, 2:6] = 1.0
    kernel[0, 0, 4, 3] = 0.04  # small
    kernel[0, 0, 8, 8] = 0.3  # separate
    kernel[0, 0, 0, 0] = -1.0
    found = plausible_kernel(kernel, 0.05)
    assert found is not None
    assert float(found.sum()) == pytest.approx(1)
    assert int((found > 0).sum()) == 4
    assert found[0, 0, 4].count_nonzero() == 4  # centered
    assert plausible_kernel(torch.zeros(1, 1, 3, 3), 0.05) is None


def test_centering_moves_the_center_of_mass_to_the_middle():
    kernel = torch.zeros(1, 1, 7, 7)
    kernel[0, 0, 0, 5] = 2.0
    assert float(centered(kernel)[0, 0, 3, 3]) == 1.0


@pytest.mark.parametrize("selects", [True, False])
def test_a_shake_is_found(selects):
    shares = []
    y = photo_of(shake(), side=220)
    found = free_kernel(y, 15, (1, 2), selects, shares.append)
    assert found is not None
    assert similarity(found, shake()) > 0.7  # no blur: 0.34
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_the_textured_part_avoids_flat_and_clipped_areas():
    y = torch.full((1, 1, 100, 120), 0.5)
    y[..., 60:100, 80:120] += 0.1 * torch.rand(40, 40)
    y[..., :40, :40] = (torch.rand(40, 40) > 0.5).float()  # black and white
    part = textured_part(y, 40)
    assert part.shape == (1, 1, 40, 40)
    assert part.equal(y[..., 60:100, 80:120])
    assert textured_part(y, 200) is y


@pytest.mark.parametrize("selects", [True, False])
def test_a_blurred_kernel_becomes_sharper_when_it_is_fitted_again(selects):
    y, kernel, soft = photo_of(shake(), side=190), shake(), gaussian_kernel(1.2)
    blurred = torch.nn.functional.conv2d(kernel, soft, padding=soft.shape[-1] - 1)
    found = refitted_kernel(y, blurred, selects)
    assert found.shape == blurred.shape
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert similarity(found, kernel) > similarity(blurred, kernel) + 0.1
    assert refitted_kernel(torch.full((1, 1, 64, 64), 0.5), blurred, selects) is None


def test_gradients_weigh_alike_or_by_their_usefulness():
    y = photo_of(shake(), side=120)
    selected, weighted = (refitted_kernel(y, shake(), selects) for selects in (True, False))
    assert float((selected - weighted).abs().sum()) > 0.01
