"""Deviations of a restoration: the density of the presets' rule, times the factor of the task."""

from __future__ import annotations

import pytest
import torch

from gradprox.posterior import Posterior, laplace_deviation, restoration_deviation
from gradprox.posterior.restoration import CALIBRATION
from gradprox.solvers import Task


@pytest.mark.parametrize("task", [*CALIBRATION, Task.INPAINT])
def test_deviations_are_those_of_the_density_times_the_factor(gaussian_prior, physics, task):
    prior, x = gaussian_prior(0.3), torch.rand(1, 1, 4, 6, dtype=torch.float64)
    y = physics.A(x)
    found = restoration_deviation(task, x, y, physics, prior, 0.02, strength=2.0, seed=3)
    posterior = Posterior.of_preset(task, y, physics, prior, 0.02, strength=2.0)
    plain = laplace_deviation(posterior, x, seed=3)
    factor = CALIBRATION.get(task, 1.0)
    torch.testing.assert_close(found.deviation, factor * plain.deviation)
    torch.testing.assert_close(found.error, factor * plain.error)


def test_the_prior_has_the_power_of_the_presets(gaussian_prior, physics):
    y = physics.A(torch.rand(1, 1, 4, 6, dtype=torch.float64))
    for task, noise, sigma in (("deblur", 0.02, 0.014), ("cs", 0.02, 0.022), ("cs", 0.0, 2 / 255)):
        found = Posterior.of_preset(task, y, physics, gaussian_prior(0.3), noise, strength=2.0)
        assert found.sigma == pytest.approx(sigma)
        assert found.noise == max(noise, 0.5 / 255)
        assert found.lambda_reg * (found.sigma / found.noise) ** 2 == pytest.approx(2 * 0.45)
