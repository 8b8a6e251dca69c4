"""Reading noisy training images: files, channels and pages, each with its noise level."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from gradprox import InputError
from gradprox.images import read_pages
from gradprox.noise import Stabilization
from gradprox.physics import poisson_noise
from gradprox.training.noisy_images import read_noisy
from tests.conftest import smooth_image

LEVEL, SIZE = 0.1, (160, 200)


def noisy_planes(count, level=LEVEL):
    generator = np.random.default_rng(0)
    plane = smooth_image(*SIZE)[0, 0].numpy()
    return (plane + level * generator.standard_normal((count, *plane.shape))).astype(np.float32)


def test_every_page_of_a_stack_is_an_image_with_a_level_of_its_own(tmp_path):
    stack = noisy_planes(3) * np.float32(0.5)
    stack[2] *= 0.5
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    images = read_noisy([path], 1, "auto")
    assert [image.name for image in images] == [f"stack.tif, page {number}" for number in (1, 2, 3)]
    # Nothing is clipped: noise below black is part of the noise.
    for image, plane in zip(images, stack, strict=True):
        assert np.array_equal(image.pixels[0].numpy(), plane)
    levels = [image.level for image in images]
    assert levels == pytest.approx([0.05, 0.05, 0.025], rel=0.1)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_pages_of_integers_are_scaled_and_a_file_of_one_image_is_one_page(tmp_path, kind):
    largest = np.iinfo(kind).max
    stack = (noisy_planes(2).clip(0, 1) * largest).astype(kind)
    tifffile.imwrite(tmp_path / "several.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "one.tif", stack[0], photometric="minisblack")
    pages = read_pages(tmp_path / "several.tif")
    (one,) = read_pages(tmp_path / "one.tif")
    assert len(pages) == 2
    assert torch.equal(pages[0].pixels, one.pixels)
    np.testing.assert_allclose(pages[1].pixels[0, 0] * largest, stack[1], rtol=1e-6)


def test_planes_of_an_array_are_images(tmp_path):
    np.save(tmp_path / "planes.npy", noisy_planes(4))
    assert len(read_pages(tmp_path / "planes.npy")) == 4


def test_damaged_stacks_are_named(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, noisy_planes(3), photometric="minisblack")
    path.write_bytes(path.read_bytes()[:60000])
    with pytest.raises(InputError, match=r"stack\.tif: damaged"):
        read_pages(path)


def test_channels_are_images_for_a_gray_network(tmp_path):
    path = tmp_path / "color.npy"
    np.save(path, np.moveaxis(noisy_planes(3), 0, -1))
    assert [image.pixels.shape for image in read_noisy([path], 1, LEVEL)] == 3 * [(1, *SIZE)]
    assert [image.pixels.shape for image in read_noisy([path], 3, LEVEL)] == [(3, *SIZE)]
    np.save(path, noisy_planes(1)[0])
    with pytest.raises(InputError, match="gray, but the network restores colors together"):
        read_noisy([path], 3, LEVEL)


def test_noise_that_depends_on_the_signal_becomes_constant(tmp_path):
    gain = 0.02
    ramp = torch.linspace(0.1, 0.9, 200).expand(1, 1, 160, 200)
    np.save(
        tmp_path / "raw.npy",
        poisson_noise(ramp, gain, torch.Generator().manual_seed(0))[0, 0].float().numpy(),
    )
    for noise in (f"gain:{gain},read:0", "auto"):
        (image,) = read_noisy([tmp_path / "raw.npy"], 1, noise)
        assert image.level == pytest.approx(Stabilization(gain, 0).level, rel=0.1)
        deviations = image.pixels[0].std(dim=0)
        assert float(deviations[:60].mean()) == pytest.approx(image.level, rel=0.1)
        assert float(deviations[-60:].mean()) == pytest.approx(image.level, rel=0.1)


def test_images_that_teach_nothing_are_refused(tmp_path):
    path = tmp_path / "flat.npy"
    np.save(path, np.full((64, 64), 0.5, dtype=np.float32))
    with pytest.raises(InputError, match=r"flat\.npy: has no noise to learn from"):
        read_noisy([path], 1, "auto")
    with pytest.raises(InputError, match="smaller than a 80-pixel patch"):
        read_noisy([path], 1, LEVEL, 80)
