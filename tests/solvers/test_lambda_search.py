"""The weight of the regularizer, chosen from the noise level, and from a reference."""

from __future__ import annotations

import math

import pytest
import torch

from gradprox import InputError
from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import HQS, best_lambda, choose_lambda

SIZE = (12, 15)
NOISE = 0.05


@pytest.fixture
def problem(make_network, make_image):
    physics = CircularBlur(gaussian_kernel(0.6).double(), SIZE)
    clean = make_image(*SIZE)
    y = physics.A(clean)
    y = y + NOISE * torch.randn_like(y)
    prox = LearnedProx(make_network())
    tried = []

    def reconstruct(lambda_reg):
        tried.append(lambda_reg)
        return HQS(sigma=0.2, lambda_reg=lambda_reg, max_iter=30)(y, physics, prox)

    return clean, y, physics, reconstruct, tried


def test_the_misfit_becomes_that_of_the_noise(problem):
    _, y, physics, reconstruct, tried = problem
    # Of what is reachable: between the misfits at the ends of the range.
    ends = [float((physics.A(reconstruct(s).x) - y).square().sum()) for s in (0.01, 10)]
    target = math.sqrt(ends[0] * ends[1]) / (NOISE**2 * y.numel())
    choice = choose_lambda(reconstruct, y, physics, NOISE, target=target, low=0.01, high=10)
    misfit = float((physics.A(choice.result.x) - y).square().sum()) / (NOISE**2 * y.numel())
    assert misfit == pytest.approx(target, rel=0.02)
    assert choice.tried[choice.lambda_reg] == pytest.approx(misfit)
    assert not choice.at_limit
    assert len(tried) <= 2 + 8


@pytest.mark.parametrize(("target", "end"), [(1e-9, 0.5), (1e9, 2.0)])
def test_a_misfit_out_of_reach_gives_the_end_of_the_range_and_says_so(problem, target, end):
    _, y, physics, reconstruct, _ = problem
    choice = choose_lambda(reconstruct, y, physics, NOISE, target=target, low=0.5, high=2.0)
    assert choice.lambda_reg == end
    assert choice.at_limit


def test_the_reference_chooses_the_nearest_image(problem):
    clean, _, _, reconstruct, _ = problem
    lambdas = (0.01, 0.3, 10.0)
    choice = best_lambda(reconstruct, clean, lambdas)
    errors = {s: float((reconstruct(s).x - clean).square().mean()) for s in lambdas}
    assert choice.lambda_reg == min(errors, key=errors.get)
    assert choice.tried[choice.lambda_reg] == pytest.approx(-10 * math.log10(errors[choice.lambda_reg]))
    assert torch.equal(choice.result.x, reconstruct(choice.lambda_reg).x)


def test_what_cannot_be_searched_is_refused(problem):
    clean, y, physics, reconstruct, _ = problem
    with pytest.raises(InputError, match="the noise level must be positive"):
        choose_lambda(reconstruct, y, physics, 0.0)
    with pytest.raises(InputError, match="between two positive numbers"):
        choose_lambda(reconstruct, y, physics, 0.1, low=2, high=1)
    with pytest.raises(InputError, match="target must be positive, got 0"):
        choose_lambda(reconstruct, y, physics, 0.1, target=0)
    with pytest.raises(InputError, match="max_trials must be at least 2"):
        choose_lambda(reconstruct, y, physics, 0.1, max_trials=1)
    with pytest.raises(InputError, match="at least one"):
        best_lambda(reconstruct, clean, ())
