"""The density is that of the presets' objective, and its derivatives are exact."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev

from gradprox.posterior import Posterior, density
from gradprox.priors import GradientStepDenoiser
from gradprox.solvers import ClippedL2, preset


def test_bayes_rule_of_a_gaussian(gaussian_prior, covariance, physics, matrix_of):
    # With images of covariance C + sigma^2, the precision of the posterior is A^T A / noise^2 + (C + sigma^2)^-1.
    noise, sigma = 0.1, 0.3
    A, one = matrix_of(physics), torch.eye(len(covariance), dtype=torch.float64)
    precision = A.T @ A / noise**2 + torch.linalg.inv(covariance + sigma**2 * one)
    x = torch.rand(2, 1, 4, 6, dtype=torch.float64)
    posterior = Posterior.of(0 * physics.A(x), physics, gaussian_prior(sigma), noise, sigma=sigma)
    flat = x.flatten(1)
    energy, gradient = posterior.energy_and_gradient(x)
    torch.testing.assert_close(energy, ((flat @ precision) * flat).sum(dim=1) / 2)
    torch.testing.assert_close(gradient.flatten(1), flat @ precision)
    torch.testing.assert_close(posterior.hessian(x)(x).flatten(1), flat @ precision)


@pytest.mark.parametrize("task", ["deblur", "cs"])
def test_the_density_is_that_of_the_preset(make_network, task, physics):
    prior, noise, strength = GradientStepDenoiser(make_network()), 0.02, 1.5
    y = physics.A(torch.rand(1, 1, 4, 6, dtype=torch.float64))
    result = preset(task, noise, solver="nmapg", strength=strength)(y, physics, prior)
    posterior = Posterior.of_preset(task, y, physics, prior, noise, strength=strength)
    torch.testing.assert_close(posterior.energy(result.x), result.objective[:, -1] / noise**2)


@pytest.mark.parametrize("recorded", [0, 1000], ids=["along", "recorded"])
@pytest.mark.parametrize("clipped", [False, True])
def test_hessian_is_the_derivative_of_the_gradient(make_network, physics, monkeypatch, recorded, clipped):
    monkeypatch.setattr(density, "RECORDED", recorded)
    x = 1.5 * torch.rand(1, 1, 4, 6, dtype=torch.float64)
    y = physics.A(x).clamp(0, 1)
    posterior = Posterior.of(
        y, physics, make_prior(make_network), 0.1, sigma=0.1, fidelity=ClippedL2() if clipped else None
    )

    def gradient(at):
        fit = torch.func.grad(lambda z: posterior.data.value(z).sum())(at)
        return (fit + posterior.lambda_reg * posterior.prior.regularizer_grad(at, 0.1)) / 0.1**2

    at = x + 0.1 * torch.randn_like(x)
    dense = jacrev(gradient)(at).view(24, 24)
    v = torch.randn_like(x)
    torch.testing.assert_close(posterior.hessian(at)(v).flatten(), dense @ v.flatten(), rtol=1e-9, atol=1e-9)
    if clipped:  # some measurements count as inequalities, so the test covers them
        counted = posterior.data.hessian(at)(v)
        assert (counted - physics.A_adjoint(physics.A(v))).abs().max() > 1e-3


def make_prior(make_network):
    return GradientStepDenoiser(make_network())
