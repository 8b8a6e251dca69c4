"""Gain and read noise are found where the noise follows the signal, and no gain is invented where it does not."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from gradprox import InputError, example_image
from gradprox.noise import estimate_gain
from gradprox.physics import gaussian_noise, poisson_noise


def noisy(clean, gain, read, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return poisson_noise(clean, gain, generator) + gaussian_noise(clean, read, generator)


def steps():
    """Return an image with eight flat regions, from dark to bright, and a region of texture."""
    rows = torch.linspace(0.02, 0.9, 8, dtype=torch.float64).repeat_interleave(24)
    flat = rows[None, None, :, None].expand(1, 1, 192, 128)
    texture = torch.rand(1, 1, 192, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return torch.cat([flat, texture], dim=-1)


def is_clear(image):
    """Whether the command line would use the gain of an image: an image that has none to estimate has no clear one."""
    try:
        return estimate_gain(image).is_clear
    except InputError:
        return False


@pytest.mark.parametrize("gain", [1 / 20, 1 / 60, 1 / 255])
@pytest.mark.parametrize("gray", [True, False])
def test_the_gain_of_a_photo_is_found(gain, gray):
    photo = example_image(gray=gray)
    # The photo has few smooth regions, of similar brightness. Beside it is a darker exposure.
    estimate = estimate_gain(noisy(torch.cat([0.2 * photo, photo], dim=-1), gain, 2 / 255))
    assert estimate.gain == pytest.approx(gain, rel=0.1)
    assert estimate.is_clear


def test_gain_and_read_noise_of_flat_regions_are_found_beside_texture():
    estimate = estimate_gain(noisy(steps(), 1 / 100, 0.05))
    assert estimate.gain == pytest.approx(1 / 100, rel=0.1)
    assert estimate.read == pytest.approx(0.05, rel=0.1)
    assert estimate.is_clear
    assert abs(estimate.gain - 1 / 100) < 4 * estimate.gain_error


def test_the_scale_of_the_image_is_that_of_the_estimate():
    image = noisy(steps(), 1 / 50, 0.02)
    one, many = estimate_gain(image), estimate_gain(1000 * image)
    assert many.gain == pytest.approx(1000 * one.gain, rel=1e-6)
    assert many.read == pytest.approx(1000 * one.read, rel=1e-6)
    assert many.signals == pytest.approx([1000 * signal for signal in one.signals])


def test_clipped_values_change_little():
    clean = steps() * 1.15  # the brightest region is beyond white
    estimate = estimate_gain(noisy(clean, 1 / 60, 0.02).clamp(0, 1))
    assert estimate.gain == pytest.approx(1 / 60, rel=0.1)


@pytest.mark.parametrize("level", [2 / 255, 10 / 255, 25 / 255])
@pytest.mark.parametrize("clean", [steps(), example_image(gray=True), example_image()])
def test_constant_noise_has_no_clear_gain(clean, level):
    image = clean + gaussian_noise(clean, level, torch.Generator().manual_seed(0))
    assert not is_clear(image)


def drawing():
    canvas = Image.new("L", (160, 120), 255)
    pen = ImageDraw.Draw(canvas)
    for corner in range(10, 100, 12):
        pen.rectangle((corner, corner // 2, corner + 40, corner), fill=2 * corner, outline=0)
        pen.line((0, corner, 160, 120 - corner), fill=0, width=2)
    return torch.from_numpy(np.asarray(canvas) / 255)[None, None]


@pytest.mark.parametrize("image", [torch.full((1, 3, 64, 64), 0.3), drawing()], ids=["flat", "drawing"])
def test_images_without_noise_are_refused(image):
    with pytest.raises(InputError, match="no noise"):
        estimate_gain(image)


def test_a_noisy_drawing_has_no_clear_gain():
    image = drawing() + gaussian_noise(drawing(), 0.05, torch.Generator().manual_seed(0))
    assert not is_clear(image)


@pytest.mark.parametrize("quality", [60, 90])
@pytest.mark.parametrize("level", [0, 10 / 255])
def test_a_stored_jpeg_has_no_clear_gain(quality, level):
    photo = example_image(gray=True)
    photo = photo + gaussian_noise(photo, level, torch.Generator().manual_seed(0))
    stored = io.BytesIO()
    Image.fromarray((255 * photo[0, 0]).round().clamp(0, 255).byte().numpy()).save(
        stored, "JPEG", quality=quality
    )
    pixels = torch.from_numpy(np.asarray(Image.open(stored)) / 255)[None, None]
    assert not is_clear(pixels)


@pytest.mark.parametrize("clean", [torch.full((1, 1, 128, 128), 0.4), torch.zeros(1, 1, 128, 128)])
def test_a_narrow_range_of_signals_is_refused(clean):
    with pytest.raises(InputError, match="signals from"):
        estimate_gain(noisy(clean, 1 / 50, 0.02))


@pytest.mark.parametrize(
    ("size", "message"), [((7, 100), "too few to estimate"), ((24, 24), "too few smooth")]
)
def test_small_images_are_refused(size, message):
    with pytest.raises(InputError, match=message):
        estimate_gain(torch.rand(1, 1, *size))


@pytest.mark.parametrize(
    "pixels", [torch.rand(2, 1, 64, 64), torch.rand(1, 64, 64), np.zeros((1, 1, 64, 64))]
)
def test_anything_but_one_image_is_refused(pixels):
    with pytest.raises(InputError, match=r"expected a tensor of one image \(1, C, H, W\)"):
        estimate_gain(pixels)
