"""Which kernels are not trusted: those smaller than a pixel, and those of regular textures among them."""

from __future__ import annotations

import math

import pytest
import torch

from gradprox.blind import LEAST_CONFIDENCE, estimate_kernel
from gradprox.blind.confidence import HALF_PEAKS, LEAST_SPREAD, confidence_of, spread
from gradprox.blind.families import Member
from gradprox.blind.photo_spectrum import PhotoSpectrum
from gradprox.physics import disk_kernel, gaussian_kernel, motion_kernel
from tests.blind.photos import NOISE, photo_of


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (gaussian_kernel(2.0), 2.0),
        (disk_kernel(6.0), 3.0),
        (motion_kernel(21, 0), 21 / math.sqrt(12)),
        (motion_kernel(21, 50), 21 / math.sqrt(12)),
    ],
)
def test_the_spread_is_a_standard_deviation(kernel, expected):
    assert spread(kernel) == pytest.approx(expected, rel=0.03)


def test_a_blur_below_a_pixel_is_not_trusted():
    found = estimate_kernel(photo_of(gaussian_kernel(0.55)), NOISE, family="gaussian")
    assert spread(found.kernel) < LEAST_SPREAD
    assert found.confidence == 0


@pytest.mark.parametrize(("length", "trusted"), [(2.5, False), (2.7, True)])
def test_a_motion_below_a_pixel_is_not_trusted_although_its_kernel_is_wider(length, trusted):
    assert spread(motion_kernel(length, 130)) > LEAST_SPREAD
    spectrum = PhotoSpectrum(power=torch.ones(100, dtype=torch.float64), blocks=1.0, noise=1e-4)
    member = Member("motion", (length, 130.0), motion_kernel(length, 130), 100.0)
    assert (confidence_of(spectrum, member, 0.0) >= LEAST_CONFIDENCE) is trusted


@pytest.mark.parametrize(
    ("family", "gain", "phase_gain", "trusted"),
    [
        ("free", 25.0, 12.0, True),
        ("free", 18.0, 9.0, True),
        ("free", 18.0, 7.0, False),  # hardly better than no blur
        ("free", 25.0, -12.0, False),  # as on a sharp photo
        ("free", 100.0, 45.0, True),
        ("free", 100.0, 30.0, False),  # the right power and wrong phases
        ("free", 12.0, 45.0, False),
        ("motion", 5.0, 0.0, True),
    ],
)
def test_a_free_kernel_must_explain_phases_and_more_power(family, gain, phase_gain, trusted):
    blocks, sharp = 16.0, -1e4
    spectrum = PhotoSpectrum(power=torch.ones(100, dtype=torch.float64), blocks=blocks, noise=1e-4)
    member = Member(family, (9.0, 20.0), motion_kernel(9, 20), sharp + gain * blocks, phase_gain)
    assert (confidence_of(spectrum, member, sharp) >= LEAST_CONFIDENCE) is trusted


@pytest.mark.parametrize(("peaks", "trusted"), [(1.0, True), (3.0, True), (5.1, False), (10.0, False)])
def test_a_free_kernel_of_a_photo_with_a_regular_texture_is_not_trusted(peaks, trusted):
    spectrum = PhotoSpectrum(power=torch.ones(100, dtype=torch.float64), blocks=16.0, noise=1e-4)
    member = Member("free", (), motion_kernel(9, 20), 400.0, 15.0, peaks)
    assert (confidence_of(spectrum, member, 0.0) >= LEAST_CONFIDENCE) is trusted


@pytest.mark.parametrize(("ratio", "trusted"), [(-1.0, True), (1.25, True), (1.9, False)])
def test_a_family_that_a_free_kernel_explains_much_better_is_not_trusted(ratio, trusted):
    spectrum, sharp = PhotoSpectrum(torch.ones(100, dtype=torch.float64), blocks=16.0, noise=1e-4), -1e4
    member = Member("motion", (9.0, 20.0), motion_kernel(9, 20), sharp + 500.0)
    free = Member("free", (), motion_kernel(9, 25), sharp + ratio * 500.0)
    assert confidence_of(spectrum, member, sharp) >= LEAST_CONFIDENCE
    assert (confidence_of(spectrum, member, sharp, free) >= LEAST_CONFIDENCE) is trusted


def test_stripes_have_peaks_in_the_spectrum():
    photo = photo_of(motion_kernel(9, 20))
    columns = torch.arange(photo.shape[-1], dtype=photo.dtype)
    stripes = 0.1 * (2 * math.pi * columns / 6).sin() * (torch.arange(photo.shape[-2]) < 100)[:, None]
    plain, striped = (
        PhotoSpectrum.of(y.double(), NOISE).peaks(motion_kernel(9, 20)) for y in (photo, photo + stripes)
    )
    assert plain < HALF_PEAKS < striped
