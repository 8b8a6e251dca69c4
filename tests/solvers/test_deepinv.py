"""Solvers beside deepinv's own: equal, iterate by iterate, where deepinv is right; different where it is not."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox import InputError
from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.priors import LearnedProx, ProximalPrior
from gradprox.solvers import ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, PrimalDual, SolverReconstructor, Status
from gradprox.solvers.poisson import PoissonLikelihood

SIZE = (12, 10)


@pytest.fixture
def problem(make_network, make_image):
    prox = LearnedProx(make_network())
    physics = CircularBlur(gaussian_kernel(1.0).double(), SIZE)
    y = physics(make_image(*SIZE))
    return prox, physics, y + 0.01 * torch.randn_like(y)


def run_deepinv(algorithm, y, physics, prior, start, g_first=False, steps=5, **parameters):
    model = deepinv.optim.optim_builder(
        algorithm,
        prior=prior,
        data_fidelity=deepinv.optim.L2(),
        max_iter=steps,
        g_first=g_first,
        params_algo=parameters,
        custom_init=lambda y, physics, F_fn=None: {"est": start},
    )
    with torch.no_grad():
        return model(y, physics)


def test_admm_is_deepinvs_with_the_denoising_first(problem):
    prox, physics, y = problem
    tau = 0.7
    multiplier = tau * physics.A_adjoint(physics.A(y) - y)
    theirs = run_deepinv(
        "ADMM",
        y,
        physics,
        deepinv.optim.PnP(denoiser=prox),
        # Their multiplier has the other sign.
        (y, multiplier),
        g_first=True,
        stepsize=tau,
        g_param=0.1,
        beta=1.0,
    )
    ours = ADMM(sigma=0.1, stepsize=tau, max_iter=5, tol=0)(y, physics, prox, x0=y)
    torch.testing.assert_close(ours.x, theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
def test_douglas_rachford_is_deepinvs(problem, relaxation):
    prox, physics, y = problem
    tau = 0.7
    s = y + tau * physics.A_adjoint(physics.A(y) - y)
    theirs = run_deepinv(
        "DRS",
        y,
        physics,
        deepinv.optim.PnP(denoiser=prox),
        (y, s),
        stepsize=tau,
        g_param=0.1,
        beta=relaxation,
        steps=6,
    )
    states = []
    DRS(sigma=0.1, stepsize=tau, relaxation=relaxation, max_iter=5, tol=0)(
        y, physics, prox, x0=y, callback=lambda step: states.append(step.state)
    )
    # Theirs returns the denoised variable.
    torch.testing.assert_close(states[-1].denoised, theirs, rtol=0, atol=1e-7)


def test_half_quadratic_splitting_is_deepinvs(problem):
    prox, physics, y = problem
    theirs = run_deepinv(
        "HQS",
        y,
        physics,
        deepinv.optim.PnP(denoiser=prox),
        (y, y),
        g_first=True,
        stepsize=4.0,
        g_param=0.1,
    )
    ours = HQS(sigma=0.1, lambda_reg=0.25, max_iter=5, tol=0)(y, physics, prox, x0=y)
    torch.testing.assert_close(ours.x, theirs, rtol=0, atol=1e-7)


def test_deepinvs_momentum_is_another(problem):
    # Its weights (k + a - 1)/(k + a) are not the proven (k - 1)/(k + a); the first step has no momentum in either.
    prox, physics, y = problem
    for steps, equal in ((1, True), (2, False)):
        theirs = run_deepinv(
            "FISTA", y, physics, ProximalPrior(prox), (y, y), steps=steps, stepsize=1.0, g_param=0.1, a=3
        )
        ours = FISTA(sigma=0.1, stepsize=1.0, max_iter=steps, tol=0)(y, physics, prox, x0=y)
        assert bool((ours.x - theirs).abs().max() < 1e-7) is equal


def test_deepinvs_poisson_distance_adds_up_the_batch_and_ours_does_not(problem):
    prox, physics, y = problem
    batch = torch.cat([y, 2 * y]).clamp_min(0.1)
    poisson = deepinv.optim.PoissonLikelihood(bkg=0.05)
    together, alone = poisson.fn(batch, batch, physics), poisson.fn(batch[:1], batch[:1], physics)
    assert (together[0] - alone[0]).abs() > 1
    solver = NMAPG(sigma=0.1, lambda_reg=0.1, box=(0, 2), max_iter=5)
    both = solver(batch, physics, prox, fidelity=poisson)
    one = solver(batch[:1], physics, prox, fidelity=poisson)
    torch.testing.assert_close(both.objective[0], one.objective[0])
    assert int(both.objective_increases.sum()) == 0


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_the_poisson_likelihood_is_corrected(gain):
    settings = {"gain": gain, "bkg": 0.1, "denormalize": False}
    ours, theirs = PoissonLikelihood(**settings), deepinv.optim.PoissonLikelihood(**settings).d
    u, y = torch.rand(1, 1, 4, 5, dtype=torch.float64) + 0.1, torch.rand(1, 1, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(u, y), theirs(u, y))
    t = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad(ours(t, y).sum(), t)
    torch.testing.assert_close(ours.grad(u, y), slope)
    assert torch.allclose(theirs.grad(u, y), slope) is (gain == 1.0)
    p = ours.prox(u, y, gamma=0.7)
    torch.testing.assert_close(0.7 * ours.grad(p, y), u - p)
    assert not torch.allclose(theirs.prox(u, y, gamma=0.7), p, atol=1e-2)


def test_the_noise_level_of_a_least_squares_term_is_its_weight(problem):
    prox, physics, y = problem
    weighted = deepinv.optim.L2(sigma=0.5)
    for solver, same in (
        (HQS(sigma=0.1, lambda_reg=1.0, max_iter=5), HQS(sigma=0.1, lambda_reg=0.25, max_iter=5)),
        (GD(sigma=0.1, lambda_reg=1.0, max_iter=5), GD(sigma=0.1, lambda_reg=0.25, max_iter=5)),
        (PGD(sigma=0.1, stepsize=0.25, max_iter=5), PGD(sigma=0.1, stepsize=1.0, max_iter=5)),
    ):
        with_weight = solver(y, physics, prox, fidelity=weighted)
        torch.testing.assert_close(with_weight.x, same(y, physics, prox).x)


@pytest.mark.parametrize("solver", [HQS(sigma=0.1), PGD(sigma=0.1), DRS(sigma=0.1), GD(sigma=0.1)])
def test_other_data_terms_are_refused_by_solvers_that_need_least_squares(problem, solver):
    prox, physics, y = problem
    with pytest.raises(InputError, match="use NMAPG or PrimalDual"):
        solver(y, physics, prox, fidelity=deepinv.optim.L1())


def test_a_solver_is_a_reconstructor_for_any_physics(problem):
    prox, _, y = problem
    physics = deepinv.physics.Denoising()
    model = SolverReconstructor(PrimalDual(sigma=0.1, max_iter=4, box=(0, 1)), prox, deepinv.optim.L1())
    assert isinstance(model, deepinv.models.Reconstructor)
    result = model.reconstruct(y, physics)
    assert torch.equal(model(y, physics), result.x)
    assert result.status == [Status.MAX_ITER]
    assert not result.certified
