"""Residual and range of a restored image tell whether the kernel fits: for each boundary, in gray and in color."""

from __future__ import annotations

import math

import pytest
import torch

from gradprox.errors import InputError
from gradprox.images import EXAMPLE_IMAGE, read_image
from gradprox.physics import (
    BOUNDARIES,
    LARGEST_FITTING_SCORE,
    blur_of_images,
    gaussian_kernel,
    gaussian_noise,
    motion_kernel,
    wrong_kernel_score,
)
from gradprox.physics.kernel_fit import BLOCK, REMOVED, SMALLEST, overshoot, power_spectrum

NOISE = 0.02
TRUE, WRONG = motion_kernel(9, 20), motion_kernel(9, 35)  # of one size, so that both fit the same image


@pytest.fixture(scope="module")
def sharp():
    """Return a color photo of 160x160 pixels."""
    return read_image(EXAMPLE_IMAGE).pixels[..., 40:200, 40:200]


def photo_of(sharp, boundary, seed=0):
    """Blur with the true kernel and add noise."""
    y = blur_of_images(boundary, TRUE, tuple(sharp.shape[-2:]), sharp.shape[1]).A(sharp)
    return y + gaussian_noise(y, NOISE, torch.Generator().manual_seed(seed))


def score(y, sharp, boundary, kernel, noise=NOISE):
    physics = blur_of_images(boundary, kernel, tuple(sharp.shape[-2:]), sharp.shape[1])
    return wrong_kernel_score(y, sharp, physics, noise)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_wrong_angle_shows_and_the_true_one_does_not(sharp, boundary, channels):
    sharp = sharp[:, :channels]
    y = photo_of(sharp, boundary)
    assert float(score(y, sharp, boundary, TRUE)) < LARGEST_FITTING_SCORE
    assert float(score(y, sharp, boundary, WRONG)) > 1.5 * LARGEST_FITTING_SCORE


def test_a_pattern_shows_although_the_mean_square_is_that_of_the_noise(sharp):
    noise = gaussian_noise(sharp[:, :1], NOISE, torch.Generator().manual_seed(1))
    wave = 0.4 * NOISE * math.sqrt(2) * torch.cos(2 * math.pi * torch.arange(160) / 8)
    identity = torch.ones(1, 1, 1, 1)
    mixed = math.sqrt(1 - 0.4**2) * noise + wave
    assert mixed.square().mean() == pytest.approx(NOISE**2, rel=0.05)
    assert float(score(sharp[:, :1] + noise, sharp[:, :1], "circular", identity)) < LARGEST_FITTING_SCORE
    assert float(score(sharp[:, :1] + mixed, sharp[:, :1], "circular", identity)) > 3 * LARGEST_FITTING_SCORE


def test_texture_that_the_regularizer_removes_does_not_show(sharp):
    sharp, quiet = sharp[:, :1], NOISE / 10
    identity = torch.ones(1, 1, 1, 1)
    y = sharp + gaussian_noise(sharp, quiet, torch.Generator().manual_seed(0))
    smoothed = sharp.mean() + (1 - math.sqrt(REMOVED) / 2) * (sharp - sharp.mean())
    removed = power_spectrum(y - smoothed) / quiet**2
    assert float(removed.max()) > 10
    assert float(score(y, smoothed, "circular", identity, quiet)) < LARGEST_FITTING_SCORE


def test_ringing_shows_although_the_residual_stays(sharp):
    sharp, kernel = sharp[:, :1], gaussian_kernel(3)
    ringing = 0.5 * torch.cos(math.pi * torch.arange(160))  # the blur removes it
    blur = blur_of_images("circular", kernel, (160, 160), 1)
    y = blur.A(sharp) + gaussian_noise(sharp, NOISE, torch.Generator().manual_seed(0))
    torch.testing.assert_close(blur.A(sharp + ringing), blur.A(sharp), atol=1e-4, rtol=0)
    scores = [float(score(y, x, "circular", kernel)) for x in (sharp, sharp + ringing)]
    assert scores[1] > 1.05 * scores[0]


def test_overshoot_is_what_leaves_the_range_of_the_photo():
    y = torch.linspace(0.2, 0.6, 100, dtype=torch.float64).reshape(1, 1, 10, 10)
    x = y.clone()
    assert float(overshoot(y, x)) == 0
    x[..., 0, 0], x[..., 9, 9] = 0.1, 0.9
    expected = (0.1**2 + 0.3**2) / 100 / y.var(correction=0)
    torch.testing.assert_close(overshoot(y, x), expected[None])
    torch.testing.assert_close(overshoot(7 + 3 * y, 7 + 3 * x), expected[None])


def test_clipped_photos_are_not_judged_each_by_itself(sharp):
    y = photo_of(sharp[:, :1], "valid").clamp(0.01, 0.99).repeat(3, 1, 1, 1)
    y[1, :, :5] = 1.0
    y[2, :, :5] = 0.0
    assert score(y, sharp[:, :1].expand(3, -1, -1, -1), "valid", TRUE).isnan().tolist() == [False, True, True]


def test_images_of_a_batch_are_judged_one_by_one(sharp):
    sharp = sharp[:, :1].expand(2, -1, -1, -1)
    y = torch.cat([photo_of(sharp[:1], "valid", seed) for seed in (0, 1)])
    levels = torch.tensor([NOISE, 2 * NOISE])
    both = score(y, sharp, "valid", WRONG, levels)
    alone = [score(y[i : i + 1], sharp[:1], "valid", WRONG, float(levels[i])) for i in range(2)]
    torch.testing.assert_close(both, torch.cat(alone))


def test_white_noise_has_the_power_of_its_variance():
    noise = 3 * torch.randn(2, 3, 320, 352, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = power_spectrum(noise)
    assert power.shape == (2, BLOCK, BLOCK // 2 + 1)
    assert power[:, 2:-2, 2:].mean().item() == pytest.approx(9, rel=0.01)
    assert power[:, 2:-2, 2:].max() < 9 * 1.4


def test_a_small_photo_is_not_judged(sharp):
    small = sharp[:, :1, : SMALLEST - 1]
    assert score(photo_of(small, "circular"), small, "circular", WRONG).isnan().all()


def test_noise_of_zero_is_refused(sharp):
    with pytest.raises(InputError, match="noise level must be positive"):
        score(photo_of(sharp, "valid"), sharp, "valid", TRUE, 0.0)
