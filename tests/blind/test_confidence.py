"""Kernels that are smaller than a pixel are not trusted, and their size is measured along the longest axis."""

from __future__ import annotations

import math

import pytest

from gradprox.blind import estimate_kernel
from gradprox.blind.confidence import LEAST_SPREAD, spread
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
