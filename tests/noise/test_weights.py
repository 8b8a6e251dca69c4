"""Weights by variances: the level is the root of the mean variance, and constant noise weighs everything the same."""

from __future__ import annotations

import pytest
import torch

from gradprox.noise import SignalNoise, weighted_noise
from gradprox.noise_rule import LEAST_NOISE


def test_variances_are_those_of_the_law():
    signal = torch.tensor([[0.0, 0.1, 0.5, 1.0]], dtype=torch.float64)
    found = weighted_noise(signal, SignalNoise(gain=0.01, read=0.02))
    variance = 0.01 * signal + 0.02**2
    torch.testing.assert_close(found.level**2 / found.weights, variance)
    assert found.level**2 == pytest.approx(float(variance.mean()))


def test_a_flat_image_has_equal_weights():
    found = weighted_noise(torch.full((1, 1, 4, 4), 0.3), SignalNoise(gain=0.01, read=0.02))
    torch.testing.assert_close(found.weights, torch.ones(1, 1, 4, 4))


def test_black_without_read_noise_has_a_finite_weight():
    found = weighted_noise(torch.tensor([-1.0, 0.0, 1.0]), SignalNoise(gain=0.01, read=0.0))
    torch.testing.assert_close(found.weights[:2], torch.full((2,), found.level**2 / LEAST_NOISE**2))
