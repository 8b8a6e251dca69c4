"""A learned prox inside deepinv's own solvers."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.priors import GradientStepPrior, LearnedProx, ProximalPrior
from gradprox.solvers import GD, PGD


@pytest.fixture
def problem(make_network, make_image):
    prox = LearnedProx(make_network().float())
    x = make_image(24, 20).float()
    physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
    return prox, physics, physics(x) + 0.01 * torch.randn(1, 1, 24, 20)


def test_it_is_a_deepinv_denoiser(problem):
    prox, _, y = problem
    assert isinstance(prox, deepinv.models.Denoiser)
    assert torch.equal(prox(y, torch.tensor([0.1])), prox(y, 0.1))


def run_deepinv(algorithm, y, physics, prior, **parameters):
    model = deepinv.optim.optim_builder(
        algorithm,
        prior=prior,
        data_fidelity=deepinv.optim.L2(),
        max_iter=6,
        params_algo=parameters,
        custom_init=lambda y, physics, F_fn=None: {"est": (y, y)},
    )
    with torch.no_grad():
        return model(y, physics)


def test_proximal_gradient_agrees_with_deepinv_step_by_step(problem):
    prox, physics, y = problem
    for prior in (deepinv.optim.PnP(denoiser=prox), ProximalPrior(prox)):
        theirs = run_deepinv("PGD", y, physics, prior, stepsize=1.0, g_param=0.1)
        ours = PGD(sigma=0.1, stepsize=1.0, max_iter=6, tol=0)(y, physics, prox, x0=y)
        torch.testing.assert_close(ours.x, theirs, rtol=0, atol=2e-6)


def test_gradient_descent_agrees_with_deepinv_step_by_step(problem):
    prox, physics, y = problem
    theirs = run_deepinv("GD", y, physics, GradientStepPrior(prox), stepsize=0.5, g_param=0.1, lambda_reg=0.7)
    ours = GD(sigma=0.1, lambda_reg=0.7, stepsize=0.5, max_iter=6, tol=0)(y, physics, prox, x0=y)
    torch.testing.assert_close(ours.x, theirs, rtol=0, atol=2e-6)


def test_the_gradient_step_prior_has_an_explicit_value(problem):
    prox, _, y = problem
    prior = GradientStepPrior(prox)
    assert prior.explicit_prior
    torch.testing.assert_close(prior.fn(y, 0.1), prox.regularizer(y, 0.1))
    with pytest.raises(ValueError, match="has no closed form"):
        prior.prox(y, 0.1)


def test_a_prox_is_not_rescaled_in_silence(problem):
    prox, _, y = problem
    with pytest.raises(ValueError, match=r"not of 0\.5 phi"):
        ProximalPrior(prox).prox(y, 0.1, gamma=0.5)
    with pytest.raises(ValueError, match="only at outputs of D"):
        ProximalPrior(prox).fn(y, 0.1)
