"""`GradientStepDenoiser`: an explicit energy for every gradient network; and the contract both kinds of prior keep."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox.networks import GradNetC, GradNetM, MGradNetC, MGradNetM
from gradprox.priors import (
    GradientStepDenoiser,
    GradientStepPrior,
    LearnedProx,
    Prior,
    ProximalOperator,
    ProximalPrior,
    prior_of,
)

X = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NETWORKS = {
    "modular": lambda: GradNetM.conv(1, 4, 3),
    "cascaded": lambda: GradNetC.conv(3, 4, 3, layers=2),
    "monotone": lambda: MGradNetM.conv(1, 4, 3),
}


def made(name):
    torch.manual_seed(0)
    return NETWORKS[name]().double()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_residual_is_the_gradient_of_the_energy(name):
    prior = GradientStepDenoiser(made(name))
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(prior.regularizer(x, 0.1).sum(), x)
    torch.testing.assert_close(prior.regularizer_grad(X, 0.1), gradient)
    denoised, energy = prior.denoise_with_energy(X, 0.1)
    torch.testing.assert_close(denoised, X - gradient)
    torch.testing.assert_close(energy, X.square().flatten(1).sum(1) / 2 - prior.potential(X, 0.1))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_curvature_of_the_energy_is_bounded(name):
    prior = GradientStepDenoiser(made(name))
    hessian = torch.autograd.functional.hessian(lambda x: prior.regularizer(x, 0.1).sum(), X[:1])
    largest = float(torch.linalg.eigvalsh(hessian.reshape(90, 90)).max())
    assert largest <= prior.curvature_bound() * (1 + 1e-12)
    assert prior.curvature_bound() == (1.0 if name == "monotone" else 1 + prior.lipschitz_bound())


def test_both_kinds_keep_the_contract_and_only_one_is_a_prox():
    energy_only, prox = GradientStepDenoiser(made("modular")), LearnedProx(made("monotone"))
    for prior in (energy_only, prox):
        assert isinstance(prior, Prior)
        assert isinstance(prior, deepinv.models.Denoiser)
    assert (energy_only.is_prox, prox.is_prox) == (False, True)
    assert isinstance(prox, ProximalOperator)
    assert not isinstance(energy_only, ProximalOperator)


def test_a_network_becomes_the_strongest_prior_that_it_is():
    assert isinstance(prior_of(made("modular"), "m"), GradientStepDenoiser)
    assert isinstance(prior_of(MGradNetC.conv(1, 4, 3), "m"), LearnedProx)


@pytest.mark.parametrize("kind", [LearnedProx, GradientStepDenoiser])
def test_both_check_their_input_alike(kind):
    prior = kind(MGradNetC.conv(1, 4, 3))
    with pytest.raises(ValueError, match="3 noise levels for 2 images"):
        prior.denoise_with_energy(X.float(), torch.full((3,), 0.1))


def test_the_deepinv_adapters_take_what_they_can_use():
    energy_only = GradientStepDenoiser(made("modular"), "planted")
    adapter = GradientStepPrior(energy_only)
    torch.testing.assert_close(adapter.fn(X, 0.1), energy_only.regularizer(X, 0.1))
    torch.testing.assert_close(adapter.grad(X, 0.1), X - energy_only(X, 0.1))
    with pytest.raises(
        ValueError, match="planted is not a proximal operator, because its network is not monotone"
    ):
        ProximalPrior(energy_only)
