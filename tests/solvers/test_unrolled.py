"""Steps with gradients: the solver's own iterates, true derivatives, and a fine-tuning that helps."""

from __future__ import annotations

import pytest
import torch

from gradprox import InputError
from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, PrimalDual, SolverReconstructor, unrolled

SIZE = (12, 10)
SOLVERS = {
    solver.__name__: solver(sigma=0.1, max_iter=4, tol=0)
    for solver in (ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, PrimalDual)
}


@pytest.fixture
def problem(make_network, make_image):
    prior = LearnedProx(make_network()).requires_grad_()
    physics, clean = CircularBlur(gaussian_kernel(1.0).double(), SIZE), make_image(*SIZE)
    y = physics(clean)
    return prior, physics, y + 0.02 * torch.randn_like(y), clean


@pytest.mark.parametrize("name", SOLVERS)
def test_unrolled_steps_are_the_solvers(name, problem):
    prior, physics, y, _ = problem
    x = unrolled(SOLVERS[name], y, physics, prior, steps=4)
    torch.testing.assert_close(x, SOLVERS[name](y, physics, prior).x, rtol=0, atol=0)
    assert x.requires_grad


@pytest.mark.parametrize("name", ["PGD", "HQS", "DRS"])
def test_gradients_are_those_of_the_reconstruction(name, problem):
    prior, physics, y, clean = problem
    weights = prior.network.shrinkage.mixing_logits

    def loss():
        return (unrolled(SOLVERS[name], y, physics, prior, steps=3) - clean).square().sum()

    (gradient,) = torch.autograd.grad(loss(), weights)
    direction, step = gradient / gradient.norm(), 1e-5
    with torch.no_grad():
        weights += step * direction
        above = loss()
        weights -= 2 * step * direction
        below = loss()
    torch.testing.assert_close((above - below) / (2 * step), gradient.norm(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("fixed_point", [False, True], ids=["unrolled", "Jacobian-free"])
def test_training_lowers_the_error_of_the_solver(fixed_point, problem):
    prior, physics, y, clean = problem
    # Unrolled steps are trained for what so few of them return, a fixed point for where many lead.
    solver = HQS(sigma=0.1, lambda_reg=0.1, max_iter=8 if fixed_point else 3, tol=0)
    model = SolverReconstructor(solver, prior, training_steps=3)
    optimizer = torch.optim.Adam(prior.parameters(), lr=2e-2)

    def error():
        return float((solver(y, physics, prior).x - clean).square().mean())

    before = error()
    for _ in range(10):
        optimizer.zero_grad()
        if fixed_point:
            x = unrolled(solver, y, physics, prior, steps=1, x0=solver(y, physics, prior).x)
        else:
            x = model.train()(y, physics)
        (x - clean).square().mean().backward()
        optimizer.step()
    assert error() < 0.95 * before
    # In evaluation it is the solver, which still descends.
    result = solver(y, physics, prior)
    torch.testing.assert_close(model.eval()(y, physics), result.x, rtol=0, atol=0)
    assert int(result.objective_increases.sum()) == 0


def test_arguments_are_checked_as_by_the_solver(problem):
    _, physics, y, _ = problem
    with pytest.raises(InputError, match="prior: expected a learned prox"):
        unrolled(SOLVERS["PGD"], y, physics, "gray", steps=1)


def test_no_steps_are_refused(problem):
    prior, physics, y, _ = problem
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        unrolled(SOLVERS["PGD"], y, physics, prior, steps=0)
