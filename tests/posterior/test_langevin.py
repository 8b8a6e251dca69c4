"""Sampling leaves known densities invariant, and interrupted chains go on bit for bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gradprox.errors import InputError
from gradprox.physics import Denoising
from gradprox.posterior import Posterior, load_chains, sampled_deviation, save_chains
from gradprox.posterior.langevin import next_state
from tests.posterior.conftest import LinearPrior

NOISE = 0.3


class DoubleWell(LinearPrior):
    """``R(x) = sum (x^2 - 1)^2 / 4``, so ``D(x) = 2 x - x^3``: two modes, at 1 and -1."""

    def __init__(self):
        self.name = "double well"

    def __call__(self, y, sigma):
        return 2 * y - y**3

    def denoise_with_energy(self, y, sigma):
        return self(y, sigma), ((y.square() - 1).square() / 4).flatten(1).sum(dim=1).double()


def test_two_modes_have_their_moments():
    y, weight = 0.05, 0.5
    posterior = Posterior.of(
        torch.full((1, 1, 1, 1), y, dtype=torch.float64), Denoising(), DoubleWell(), NOISE, sigma=NOISE,
        lambda_reg=weight,
    )  # fmt: skip
    grid = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    energy = ((grid - y).square() / 2 + weight * (grid.square() - 1).square() / 4) / NOISE**2
    density = (-energy).exp() / (-energy).exp().sum()
    moments = {power: float((density * grid**power).sum()) for power in (1, 2, 4)}
    torch.testing.assert_close(posterior.energy(grid.view(-1, 1, 1, 1)), energy)
    found = dict.fromkeys(moments, 0.0)
    chains, counted = 256, 0

    def add(state):
        nonlocal counted
        if int(state.steps) > 300:
            counted += 1
            for power in found:
                found[power] += float((state.x**power).mean())

    start = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    result = sampled_deviation(posterior, start, chains=chains, burn_in=300, samples=1500, report=add)
    for power, expected in moments.items():
        assert found[power] / counted == pytest.approx(expected, abs=0.01), power
    variance = moments[2] - moments[1] ** 2
    assert float(result.deviation) == pytest.approx(variance**0.5, abs=0.01)
    assert abs(float(result.deviation) - variance**0.5) <= 4 * float(result.error)
    assert (result.acceptance > 0.3).all()
    assert result.r_hat < 1.1


def test_samples_have_the_posterior_of_a_gaussian(gaussian_prior, covariance, physics, matrix_of):
    sigma = 0.3
    y = physics.A(torch.rand(1, 1, 4, 6, dtype=torch.float64))
    posterior = Posterior.of(y, physics, gaussian_prior(sigma), NOISE, sigma=sigma)
    A, one = matrix_of(physics), torch.eye(24, dtype=torch.float64)
    inverse = torch.linalg.inv(A.T @ A / NOISE**2 + torch.linalg.inv(covariance + sigma**2 * one))
    mean = (y.flatten(1) @ A @ inverse / NOISE**2).view(1, 1, 4, 6)
    deviation = inverse.diagonal().sqrt().view(1, 1, 4, 6)
    found = sampled_deviation(posterior, 0 * mean, chains=32, burn_in=300, samples=700)
    off = (found.deviation - deviation).abs()
    assert (found.error < 0.05 * deviation).all()
    assert (off <= 4 * found.error).all()
    assert ((found.mean - mean).abs() <= 0.1 * deviation).all()
    assert found.r_hat < 1.05
    assert float(found.acceptance.mean()) == pytest.approx(0.574, abs=0.06)


@pytest.fixture
def small(gaussian_prior):
    y = torch.rand(1, 1, 4, 6, dtype=torch.float64)
    return Posterior.of(y, Denoising(), gaussian_prior(0.3), NOISE, sigma=0.3), y


def test_interrupted_chains_go_on_bit_for_bit(small, tmp_path):
    posterior, y = small
    settings = {"chains": 2, "burn_in": 10, "samples": 20, "seed": 3}
    whole = sampled_deviation(posterior, y, **settings)
    for stop in (4, 10, 17):

        def save(state, stop=stop):
            if int(state.steps) == stop:
                save_chains(tmp_path / "chains.safetensors", state)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sampled_deviation(posterior, y, **settings, report=save)
        state = load_chains(tmp_path / "chains.safetensors")
        again = sampled_deviation(posterior, y, **settings, state=state)
        assert torch.equal(again.deviation, whole.deviation)
        for name, value in vars(whole.state).items():
            assert torch.equal(getattr(again.state, name), value), name


def test_step_lengths_are_fixed_after_burn_in(small):
    posterior, y = small
    lengths = []
    sampled_deviation(
        posterior, y, burn_in=5, samples=5, report=lambda state: lengths.append(state.log_length)
    )
    assert not torch.equal(lengths[3], lengths[4])
    assert all(torch.equal(lengths[4], later) for later in lengths[5:])


def test_proposals_of_infinite_energy_are_rejected(small):
    posterior, y = small
    state = sampled_deviation(posterior, y, burn_in=1, samples=2).state
    wild = replace(state, log_length=torch.full_like(state.log_length, 700.0))
    after = next_state(posterior, wild, adapt=True)
    assert torch.equal(after.x, state.x)
    assert (after.log_length < wild.log_length).all()


def test_illegal_runs_and_files(small, tmp_path):
    posterior, y = small
    with pytest.raises(InputError, match="the least"):
        sampled_deviation(posterior, y, chains=1)
    state = sampled_deviation(posterior, y, burn_in=1, samples=2).state
    with pytest.raises(InputError, match="state: is of images"):
        sampled_deviation(posterior, y, chains=3, state=state)
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        load_chains(tmp_path / "x.safetensors")
