"""The noise estimate of JPEG files: it includes the error of compression, however the file was turned or encoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from scipy.fft import idctn

from gradprox.images import read_gray, read_image, write_image
from gradprox.images.example import EXAMPLE_IMAGE
from gradprox.images.jpeg_noise import noise_before_rounding
from gradprox.images.noise_estimation import compression_error, estimate_image_noise, estimate_noise
from gradprox.images.srgb import to_linear_light
from gradprox.physics import blur_of_images, gaussian_kernel


def stored(path, samples, **options):
    """Store samples in 0..255 as a file, and read it."""
    Image.fromarray(np.asarray(samples).round().clip(0, 255).astype(np.uint8)).save(path, **options)
    return read_image(path)


@pytest.fixture(scope="module")
def blurred():
    """A blurred photo ``(H, W)`` in 0..255, of no whole number of blocks."""
    clean = read_gray(EXAMPLE_IMAGE)[..., :203, :251]
    camera = blur_of_images("valid", gaussian_kernel(1.6), (203, 251), 1)
    return 255 * camera.A(clean)[0, 0].numpy()


def noisy(samples, level):
    return samples + level * np.random.default_rng(0).standard_normal(samples.shape)


@pytest.mark.parametrize("step", [4, 20, 60])
@pytest.mark.parametrize("side", [64, 256])
def test_noise_before_rounding_is_found_whatever_the_step(step, side):
    coefficients = 20 * np.random.default_rng(step).standard_normal((side // 8, side // 8, 8, 8))
    rounded = idctn(step * (coefficients / step).round(), axes=(2, 3), norm="ortho")
    plane = rounded.swapaxes(1, 2).reshape(side, side) / 255
    assert 255 * noise_before_rounding(plane, np.full((8, 8), step)) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("quality", [60, 75, 85, 95, 98])
@pytest.mark.parametrize("level", [0, 2.55, 10])
def test_the_level_covers_noise_and_compression_of_low_frequencies(blurred, tmp_path, quality, level):
    image = stored(tmp_path / "photo.jpg", noisy(blurred, level), quality=quality)
    estimate = estimate_image_noise(image)
    # A blur leaves low frequencies, which averages over 4x4 pixels hold. Rounding to whole gray levels adds its error.
    error = 255 * image.pixels[0, 0].numpy() - blurred
    rows, columns = (length // 4 for length in error.shape)
    low = 4 * error[: 4 * rows, : 4 * columns].reshape(rows, 4, columns, 4).mean(axis=(1, 3)).std()
    assert 0.9 * low < 255 * estimate.level < 1.8 * low
    assert estimate.level >= estimate.compression == compression_error(image)


def test_white_noise_estimates_miss_what_compression_hides(blurred, tmp_path):
    image = stored(tmp_path / "photo.jpg", noisy(blurred, 2.55), quality=85)
    assert estimate_noise(image.pixels) < 1.3 / 255
    assert estimate_image_noise(image).level > 2.55 / 255


def test_lossless_files_have_white_noise_only(blurred, tmp_path):
    image = stored(tmp_path / "photo.png", noisy(blurred, 2.55))
    estimate = estimate_image_noise(image)
    assert (estimate.level, estimate.compression) == (estimate_noise(image.pixels), 0)


def test_a_flat_image_has_the_error_of_compression(tmp_path):
    estimate = estimate_image_noise(stored(tmp_path / "flat.jpg", np.full((64, 64), 90), quality=60))
    assert estimate.compression == pytest.approx(2.97 / 255, rel=0.01)
    assert estimate.compression <= estimate.level < 1.5 * estimate.compression


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_has_the_same_level(blurred, tmp_path, orientation):
    samples = noisy(blurred, 2.55)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    upright = stored(tmp_path / "upright.jpg", samples, quality=75)
    turned = stored(tmp_path / "turned.jpg", samples, quality=75, exif=exif)
    assert estimate_image_noise(turned).level == pytest.approx(estimate_image_noise(upright).level, rel=1e-5)


def test_steps_turn_with_the_image(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    steps = np.arange(1, 65).reshape(8, 8)
    image = stored(tmp_path / "in.jpg", np.zeros((16, 8)), qtables=[steps.flatten().tolist()], exif=exif)
    assert (image.metadata.encoding.luma_steps == steps.T).all()
    write_image(tmp_path / "out.jpg", image)
    with Image.open(tmp_path / "out.jpg") as again:
        assert (np.reshape(again.quantization[0], (8, 8)) <= steps.T).all()


def test_progressive_files_have_the_same_level(blurred, tmp_path):
    baseline = stored(tmp_path / "a.jpg", blurred, quality=75)
    progressive = stored(tmp_path / "b.jpg", blurred, quality=75, progressive=True)
    assert estimate_image_noise(progressive) == estimate_image_noise(baseline)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_the_level_of_colors_is_that_of_a_channel(blurred, tmp_path, subsampling):
    colors = noisy(np.stack([0.5 * blurred + 60] * 3, axis=2), 10)
    image = stored(tmp_path / "photo.jpg", colors, quality=85, subsampling=subsampling)
    assert 255 * estimate_image_noise(image).level == pytest.approx(10, rel=0.15)


def test_inks_have_a_level_too(blurred, tmp_path):
    colors = Image.fromarray(noisy(blurred, 10).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    colors.convert("CMYK").save(tmp_path / "inks.jpg", quality=75)
    estimate = estimate_image_noise(read_image(tmp_path / "inks.jpg"))
    assert 8 / 255 < estimate.level < 20 / 255


def test_the_level_of_light_follows_the_slope_of_the_curve(tmp_path):
    image = stored(tmp_path / "gray.jpg", noisy(np.full((128, 128), 51), 4), quality=75)
    slope = (to_linear_light(torch.tensor(0.201)) - to_linear_light(torch.tensor(0.199))) / 0.002
    light = estimate_image_noise(image, linear_light=True)
    assert light.level == pytest.approx(float(slope) * estimate_image_noise(image).level, rel=0.01)
    assert light.compression == compression_error(image, linear_light=True)
