"""A kernel that is a little off is scaled and turned towards the true one, from the photo alone."""

from __future__ import annotations

import pytest
import torch

from gradprox.errors import InputError
from gradprox.images import EXAMPLE_IMAGE, read_image
from gradprox.physics import blur_of_images, disk_kernel, gaussian_kernel, gaussian_noise, motion_kernel
from gradprox.physics.kernel_refinement import refine_kernel, scaled_and_turned

NOISE = 0.01


def photo_of(kernel, channels=1):
    """Return the example, 200x200 pixels, blurred and noisy."""
    sharp = read_image(EXAMPLE_IMAGE).pixels[:, :channels, 30:230, 30:230]
    y = blur_of_images("valid", kernel, (200, 200), channels).A(sharp)
    return y + gaussian_noise(y, NOISE, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("length", "angle"), [(12, 20), (15, 32)])
def test_a_motion_is_scaled_and_turned_back(channels, length, angle):
    found = refine_kernel(photo_of(motion_kernel(15, 20), channels), motion_kernel(length, angle), NOISE)
    assert length * found.scale == pytest.approx(15, abs=1)
    assert angle + found.turn == pytest.approx(20, abs=3)


def test_a_disk_is_scaled_back():
    found = refine_kernel(photo_of(disk_kernel(4)), disk_kernel(5), NOISE)
    assert 5 * found.scale == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize("kernel", [motion_kernel(9, 70), disk_kernel(4), gaussian_kernel(2)])
def test_a_kernel_without_a_clearly_better_version_stays(kernel):
    found = refine_kernel(photo_of(kernel), kernel, NOISE)
    assert (found.scale, found.turn) == (1.0, 0.0)
    assert found.kernel is kernel


def test_scaling_and_turning_follow_the_families():
    turned = scaled_and_turned(motion_kernel(15, 0), 1.0, 90.0)
    margin = (turned.shape[-1] - 15) // 2
    torch.testing.assert_close(
        turned[..., margin:-margin, margin:-margin].sum(-1), motion_kernel(15, 90).sum(-1), atol=1e-6, rtol=0
    )
    grown = scaled_and_turned(disk_kernel(6), 1.5, 0.0)
    assert float((grown > 0.5 * grown.max()).sum()) == pytest.approx(torch.pi * 9**2, rel=0.03)


def test_several_photos_and_noise_of_zero_are_refused():
    y = photo_of(disk_kernel(2))
    with pytest.raises(InputError, match="one photo at a time"):
        refine_kernel(y.expand(2, -1, -1, -1), disk_kernel(2), NOISE)
    with pytest.raises(InputError, match="noise level must be positive"):
        refine_kernel(y, disk_kernel(2), 0.0)
