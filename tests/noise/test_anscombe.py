"""The generalized Anscombe transform: constant variance, and an inverse that is unbiased by the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm, poisson

from gradprox import InputError
from gradprox.noise import GeneralizedAnscombe

# Gain and read noise, from photons alone to read noise of several photons.
CAMERAS = [(0.05, 0.0), (0.05, 2 / 255), (1 / 255, 2 / 255), (0.01, 0.05)]


def moment(function, photons, gain, read):
    """Return the expectation of a function of measurements, summed over photons and integrated over read noise."""
    counts = np.arange(poisson.ppf(1e-14, photons), poisson.isf(1e-14, photons) + 1)
    noise, step = np.linspace(-9, 9, 10001, retstep=True)
    values = function(torch.from_numpy(gain * counts[:, None] + read * noise)).numpy()
    return float(poisson.pmf(counts, photons) @ values @ norm.pdf(noise) * step)


@pytest.mark.parametrize(("gain", "read"), CAMERAS)
@pytest.mark.parametrize("photons", [0.0, 0.3, 2.0, 20.0])
def test_the_inverse_of_the_expectation_is_the_signal(gain, read, photons):
    transform = GeneralizedAnscombe(gain, read)
    expected = torch.tensor(moment(transform, photons, gain, read), dtype=torch.float64)
    # The closed form of Makitalo and Foi is off by up to 0.04 photons here.
    assert float(transform.inverse(expected)) / gain == pytest.approx(photons, abs=1e-4)


@pytest.mark.parametrize(("gain", "read", "photons"), [(0.001, 0.0, 1000.0), (0.001, 0.02, 150.0)])
def test_many_photons(gain, read, photons):
    transform = GeneralizedAnscombe(gain, read)
    expected = torch.tensor(moment(transform, photons, gain, read), dtype=torch.float64)
    assert float(transform.inverse(expected)) / gain == pytest.approx(photons, abs=1e-4)


def test_beyond_the_table_the_inverse_approaches_its_limit():
    transform = GeneralizedAnscombe(1e-5, 0.0)
    signal = torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)
    off = (transform.inverse(transform.expectation(signal)) - signal).abs() / 1e-5
    assert off.max() < 0.01  # of 20,000 photons and more


@pytest.mark.parametrize(("gain", "read"), CAMERAS)
def test_the_variance_is_one_above_five_photons(gain, read):
    transform = GeneralizedAnscombe(gain, read)
    for photons in (5.0, 10.0, 40.0):
        mean = moment(transform, photons, gain, read)
        variance = moment(lambda y, mean=mean: (transform(y) - mean) ** 2, photons, gain, read)
        assert variance == pytest.approx(1, abs=0.05)


def test_the_inverse_rises_and_ends_at_black():
    transform = GeneralizedAnscombe(0.05, 0.01)
    values = torch.linspace(-2, 30, 5001, dtype=torch.float64)
    signals = transform.inverse(values)
    assert (signals.diff() >= 0).all()
    assert signals[0] == 0
    assert signals[-1] > 10


def test_single_precision_and_large_read_noise():
    transform = GeneralizedAnscombe(1e-5, 0.1)
    signal = torch.linspace(0, 1, 101)
    torch.testing.assert_close(transform.inverse(transform.expectation(signal)), signal, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("gain", "read"), [(0.0, 0.1), (-1.0, 0.1), (float("nan"), 0.1), (0.1, -0.1), (0.1, float("inf"))]
)
def test_illegal_numbers_are_refused(gain, read):
    with pytest.raises(InputError, match="must be"):
        GeneralizedAnscombe(gain, read)
