"""Laplace's approximation is exact for Gaussians, and says what it did with negative curvature."""

from __future__ import annotations

import pytest
import torch

from gradprox.errors import InputError
from gradprox.posterior import Posterior, laplace_deviation

NOISE, SIGMA = 0.1, 0.15
EXACT = {"spacing": 6, "steps": 24, "tolerance": 1e-13}


@pytest.fixture
def posterior(gaussian_prior, physics):
    y = physics.A(torch.rand(1, 1, 4, 6, dtype=torch.float64))
    return Posterior.of(y, physics, gaussian_prior(SIGMA), NOISE, sigma=SIGMA)


@pytest.fixture
def expected(physics, matrix_of, covariance):
    """The posterior deviations of a Gaussian."""
    A, one = matrix_of(physics), torch.eye(24, dtype=torch.float64)
    precision = A.T @ A / NOISE**2 + torch.linalg.inv(covariance + SIGMA**2 * one)
    return torch.linalg.inv(precision).diagonal().sqrt().view(1, 1, 4, 6)


def test_single_pixels_give_the_posterior_of_a_gaussian(posterior, expected):
    x, shares = torch.rand(1, 1, 4, 6, dtype=torch.float64), []
    found = laplace_deviation(posterior, x, **EXACT, least_curvature=1e-6, report=shares.append)
    torch.testing.assert_close(found.deviation, expected, rtol=1e-9, atol=0)
    assert found.error.max() < 1e-9
    assert found.residual.max() < 1e-9
    assert found.probes == len(shares) == 48
    assert shares[-1] == 1


def test_probes_of_many_pixels_are_off_by_what_they_say(posterior, expected):
    x = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    found = laplace_deviation(posterior, x, spacing=2, repeats=30, least_curvature=1e-6, tolerance=1e-6)
    off = (found.deviation - expected).abs()
    assert found.error.max() > 5e-4
    assert (off <= 4 * found.error).all()
    share = (off <= 2 * found.error).double().mean()
    assert share > 0.85


def test_few_steps_are_off_by_about_their_residual(posterior, expected):
    x = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    found = laplace_deviation(posterior, x, spacing=6, steps=3, tolerance=0, least_curvature=1e-6)
    off = ((found.deviation - expected) / expected).abs().max()
    assert 1e-4 < off < float(found.residual)


def test_curvature_below_the_floor_is_raised_to_it(linear_prior, physics, matrix_of):
    basis, _ = torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64))
    # Eigenvalues of I - K from -0.5, a saddle, to 1.
    prior = linear_prior(basis @ torch.diag(torch.linspace(0, 1.5, 24).double()) @ basis.T)
    x = torch.rand(1, 1, 4, 6, dtype=torch.float64)
    posterior = Posterior.of(physics.A(x), physics, prior, NOISE, sigma=SIGMA, lambda_reg=0.8)
    A = matrix_of(physics)
    hessian = A.T @ A + 0.8 * (torch.eye(24, dtype=torch.float64) - prior.matrix)
    values, vectors = torch.linalg.eigh(hessian / NOISE**2)
    unit = 0.8 / NOISE**2
    raised = vectors @ torch.diag(1 / values.clamp_min(0.2 * unit)) @ vectors.T
    found = laplace_deviation(posterior, x, **EXACT, least_curvature=0.2)
    torch.testing.assert_close(found.deviation.flatten(), raised.diagonal().sqrt(), rtol=1e-9, atol=0)
    assert float(values[0]) < 0
    torch.testing.assert_close(found.curvature, values[:1] / unit)


def test_images_of_a_batch_are_independent(posterior, make_network, physics):
    from gradprox.priors import GradientStepDenoiser

    prior = GradientStepDenoiser(make_network())
    x = torch.rand(2, 1, 4, 6, dtype=torch.float64)

    def deviation(x):
        posterior = Posterior.of(physics.A(x), physics, prior, NOISE, sigma=SIGMA)
        return laplace_deviation(posterior, x, spacing=6, steps=4).deviation

    torch.testing.assert_close(deviation(x), torch.cat([deviation(x[:1]), deviation(x[1:])]))


def test_illegal_numbers_are_refused(posterior):
    x = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    with pytest.raises(InputError, match="repeats must be at least 2"):
        laplace_deviation(posterior, x, repeats=1)
    with pytest.raises(InputError, match="least_curvature must be positive"):
        laplace_deviation(posterior, x, least_curvature=0)
    with pytest.raises(InputError, match="noise must be positive"):
        Posterior(posterior.data, posterior.prior, 0.0, SIGMA, 1.0)
