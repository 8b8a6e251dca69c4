"""The mean of kernels that differ by shifts, and the steps towards more evidence."""

from __future__ import annotations

import pytest
import torch

from gradprox.blind.free_search import Gains
from gradprox.blind.photo_spectrum import PhotoSpectrum
from gradprox.blind.refinement import ascended_kernel, mean_kernel
from gradprox.physics import gaussian_kernel
from tests.blind.photos import NOISE, photo_of, shake, similarity


def placed(kernel, side, down=0, right=0):
    """Return a kernel in ``(1, 1, side, side)``, shifted from the middle."""
    wide = torch.zeros(1, 1, side, side)
    top, left = (
        (side - length) // 2 + shift for length, shift in zip(kernel.shape[-2:], (down, right), strict=True)
    )
    wide[..., top : top + kernel.shape[-2], left : left + kernel.shape[-1]] = kernel
    return wide


def test_shifts_and_sides_do_not_change_the_mean():
    kernel = shake()
    mean = mean_kernel([placed(kernel, 19), placed(kernel, 21, 3, -2), placed(kernel, 17, -1, 2)])
    assert mean.shape == (1, 1, 21, 21)
    assert similarity(mean, kernel) == pytest.approx(1, abs=1e-6)
    assert float(mean.sum()) == pytest.approx(1, abs=1e-6)


def test_kernels_are_shifted_by_parts_of_a_pixel():
    """Two Gaussians half a pixel apart: whole shifts would widen their mean by a sixteenth of a squared pixel."""

    def gaussian(center):
        line = torch.exp(-((torch.arange(21) - center) ** 2) / (2 * 2.0**2))
        kernel = line[:, None] * torch.exp(-((torch.arange(21) - 10.0) ** 2) / (2 * 2.0**2))
        return (kernel / kernel.sum())[None, None]

    half = mean_kernel([gaussian(10.0), gaussian(10.5)])
    # Linear interpolation by half a pixel widens one of the two by a quarter, the mean by an eighth.
    assert similarity(half, gaussian(10.0)) > 0.9995
    rows = half[0, 0].sum(dim=1)
    center = float((rows * torch.arange(21)).sum())
    assert center == pytest.approx(10, abs=0.02)


# A sharper start gains less than 0.01, which rounding changes by a fifth.
@pytest.mark.parametrize("wrong", [gaussian_kernel(0.9), gaussian_kernel(1.2)])
def test_the_steps_approach_the_true_kernel(wrong):
    y, true = photo_of(shake()), placed(shake(), 19)
    spectrum = PhotoSpectrum.of(y, NOISE)
    start = torch.nn.functional.conv2d(true, wrong, padding=wrong.shape[-1] // 2)
    start = start / start.sum()
    found = ascended_kernel(y, spectrum, start, start)
    before, after = (Gains.of(y, spectrum, [kernel], start) for kernel in (start, found))
    assert float(after.power + after.phases) > float(before.power + before.phases)
    assert similarity(found, true) > similarity(start, true) + 0.03
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert float(found.min()) >= 0


def test_the_steps_increase_the_power_and_the_phases():
    """The phases of a Gaussian are those of no blur, and steps towards more power alone keep its symmetry."""
    y = photo_of(shake())
    spectrum = PhotoSpectrum.of(y, NOISE)
    start = placed(gaussian_kernel(1.5), 19)
    before = Gains.of(y, spectrum, [start], start)
    after = Gains.of(y, spectrum, [ascended_kernel(y, spectrum, start, start)], start)
    assert float(after.power) > float(before.power)
    assert float(after.phases) > float(before.phases) + 5
