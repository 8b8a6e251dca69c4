"""The estimate of the noise level, and the curve between display values and light."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gradprox import InputError
from gradprox.images import EXAMPLE_IMAGE
from gradprox.images.noise_estimation import estimate_noise
from gradprox.images.srgb import to_display, to_linear_light


@pytest.fixture(scope="module")
def photo():
    with Image.open(EXAMPLE_IMAGE) as image:
        return torch.from_numpy(np.asarray(image.convert("L")) / 255.0)[None, None]


@pytest.mark.parametrize("level", [5 / 255, 15 / 255, 25 / 255, 50 / 255])
def test_the_level_of_a_photo_is_found(photo, level):
    noisy = photo + level * torch.randn(photo.shape, dtype=torch.float64)
    # The camera's own noise, and fur as fine as noise, are there too, and variances add.
    assert estimate_noise(noisy) == pytest.approx((level**2 + estimate_noise(photo) ** 2) ** 0.5, rel=0.08)


def test_the_level_of_noise_alone_is_exact():
    noise = 0.1 * torch.randn(1, 3, 200, 200, dtype=torch.float64)
    assert estimate_noise(noise) == pytest.approx(0.1, rel=0.01)


def test_the_estimate_scales_with_the_image_and_ignores_its_brightness(photo):
    noisy = photo + 0.1 * torch.randn(photo.shape, dtype=torch.float64)
    assert estimate_noise(3 * noisy + 7) == pytest.approx(3 * estimate_noise(noisy), rel=1e-9)


def test_channels_are_averaged_as_variances(photo):
    noise = torch.randn(1, 2, 100, 120, dtype=torch.float64)
    both = torch.cat([0.1 * noise[:, :1], 0.2 * noise[:, 1:]], dim=1)
    parts = [estimate_noise(both[:, c : c + 1]) for c in (0, 1)]
    assert estimate_noise(both) == pytest.approx(((parts[0] ** 2 + parts[1] ** 2) / 2) ** 0.5, rel=1e-12)


def test_flat_and_small_images():
    assert estimate_noise(torch.full((1, 1, 40, 40), 0.3)) == 0
    for size in ((7, 100), (1, 1), (20, 20)):
        with pytest.raises(InputError, match="give the noise level"):
            estimate_noise(torch.rand(1, 1, *size))


def test_light_is_that_of_the_standard():
    # IEC 61966-2-1: half of the display scale is about a fifth of the light; both ends stay.
    values = torch.tensor([0.0, 0.02, 0.5, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 0.02 / 12.92, 0.21404114048, 1.0], dtype=torch.float64)
    torch.testing.assert_close(to_linear_light(values), expected, rtol=1e-10, atol=0)


def test_display_values_come_back_from_light():
    values = torch.linspace(-0.5, 1.5, 4001, dtype=torch.float64)
    light = to_linear_light(values)
    assert (light.diff() > 0).all()
    # The standard's rounded constants leave a step of 3e-8 of light at the knee.
    torch.testing.assert_close(to_display(light), values, rtol=0, atol=5e-7)
