"""The status of each image when something is wrong, and the steps that it costs."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox import InputError
from gradprox.physics import CircularBlur, HadamardSensing, gaussian_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import (
    ADMM,
    DRS,
    FISTA,
    GD,
    HQS,
    NMAPG,
    PGD,
    Continuation,
    PrimalDual,
    ScheduledHQS,
    Solver,
    Status,
)

SIZE = (8, 9)
SOLVERS = {
    "pgd": PGD(sigma=0.1, max_iter=6, tol=0),
    "fista": FISTA(sigma=0.1, max_iter=6, tol=0),
    "gd": GD(sigma=0.1, max_iter=6, tol=0),
    "hqs": HQS(sigma=0.1, max_iter=6, tol=0),
    "admm": ADMM(sigma=0.1, max_iter=6, tol=0),
    "drs": DRS(sigma=0.1, max_iter=6, tol=0),
    "nmapg": NMAPG(sigma=0.1, max_iter=6, tol=0),
    "primal-dual": PrimalDual(sigma=0.1, max_iter=6, tol=0),
    "scheduled hqs": ScheduledHQS(sigma=0.1, noise=0.05, max_iter=6),
    "continuation": Continuation(sigma=0.1, max_iter=6),
}


@pytest.fixture(params=SOLVERS)
def solver(request) -> Solver:
    return SOLVERS[request.param]


@pytest.fixture
def prox(make_network) -> LearnedProx:
    return LearnedProx(make_network())


@pytest.fixture
def physics():
    return HadamardSensing(SIZE, 40)


@pytest.fixture
def y(physics, make_image):
    return physics.A(make_image(*SIZE))


def test_a_image_with_bad_measurements_does_not_stop_the_others(solver, physics, y, prox):
    bad = y.clone()
    bad[..., 3] = float("nan")
    batch = solver(torch.cat([bad, y, float("inf") * y]), physics, prox)
    alone = solver(y, physics, prox)
    assert [batch.status[0], batch.status[2]] == [Status.NON_FINITE] * 2
    assert batch.status[1] is alone.status[0] is solver.out_of_steps
    assert batch.steps.tolist() == [0, 6, 0]
    torch.testing.assert_close(batch.x[1:2], alone.x)
    torch.testing.assert_close(batch.objective[1:2], alone.objective, equal_nan=True)
    assert batch.objective[0].isnan().all()


def test_a_physics_that_gives_nan_is_noticed_at_once(solver, y, prox):
    class Broken(HadamardSensing):
        def A(self, x, **_):
            return super().A(x) * float("nan")

    result = solver(y, Broken(SIZE, 40), prox)
    assert result.status == [Status.NON_FINITE]
    assert int(result.steps) == 1
    # The last finite image is returned, which is the start.
    assert torch.equal(result.x, HadamardSensing(SIZE, 40).A_adjoint(y))


def test_nothing_measured_gives_a_finite_image(solver, physics, y, prox):
    result = solver(torch.zeros_like(y), physics, prox)
    assert result.status[0] in (Status.CONVERGED, solver.out_of_steps)
    assert torch.isfinite(result.x).all()


def understated(factor: float) -> deepinv.physics.LinearPhysics:
    return deepinv.physics.LinearPhysics(A=lambda x, **_: factor * x, A_adjoint=lambda x, **_: factor * x)


@pytest.mark.parametrize("kind", [PGD, GD, FISTA, DRS, ADMM])
def test_a_diverging_run_is_stopped_and_says_why(kind, prox, make_image):
    # The planted fault: a bound of the norm that is none.
    result = kind(sigma=0.1, lipschitz=1.0, max_iter=200)(
        make_image(*SIZE), understated(3.0), prox, x0=torch.rand(1, 1, *SIZE, dtype=torch.float64)
    )
    assert result.status == [Status.DIVERGED]
    assert "lipschitz" in result.status[0].advice
    # An envelope falls without end instead of rising.
    assert int(result.objective_increases) > 0 or kind in (DRS, ADMM)
    assert int(result.steps) < 20
    assert torch.isfinite(result.x).all()


def test_solvers_without_a_norm_need_none(prox, make_image):
    physics = understated(3.0)
    for solver in (NMAPG(sigma=0.1, max_iter=60), HQS(sigma=0.1, max_iter=60)):
        result = solver(physics.A(make_image(*SIZE)), physics, prox, x0=torch.zeros(1, 1, *SIZE).double())
        assert result.status == [Status.CONVERGED]
        assert int(result.objective_increases) == 0


@pytest.mark.parametrize(
    "schedule",
    [ScheduledHQS(sigma=0.05, noise=0.02, max_iter=5), Continuation(sigma=0.05, max_iter=5)],
    ids=["scheduled hqs", "continuation"],
)
def test_a_schedule_claims_nothing(schedule, physics, y, prox):
    result = schedule(y, physics, prox)
    assert not result.certified
    assert result.status == [Status.SCHEDULE_DONE]
    assert "nothing is certified" in result.status[0].advice
    assert result.objective.isnan().all()
    assert int(result.steps) == 5


def solved(physics, y, z, weight):
    """Return ``argmin |A x - y|^2/2 + weight |x - z|^2/2``, by a dense solver."""
    normal = physics.A_adjoint(physics.A(torch.eye(72).double().view(72, 1, *SIZE))).flatten(1)
    right = (physics.A_adjoint(y) + weight * z).flatten()
    return torch.linalg.solve(normal + weight * torch.eye(72), right).view(z.shape)


def test_a_schedule_is_its_two_lines(physics, y, prox):
    x = physics.A_adjoint(y)
    result = ScheduledHQS(sigma=0.05, first_sigma=0.2, noise=0.02, lambda_reg=0.7, max_iter=3)(
        y, physics, prox
    )
    for sigma in (0.2, 0.1, 0.05):
        x = prox(solved(physics, y, x, 0.7 * (0.02 / sigma) ** 2), sigma)
    torch.testing.assert_close(result.x, x, rtol=0, atol=1e-5)


def test_a_continuation_is_a_step_of_hqs_at_each_level(physics, y, prox):
    result = Continuation(sigma=0.02, first_sigma=0.16, lambda_reg=0.7, max_iter=3)(y, physics, prox)
    x = None
    for sigma in (0.16, 0.08, 0.04):
        step = HQS(sigma=sigma, lambda_reg=0.7 * (0.02 / sigma) ** 2, max_iter=1)
        x = step(y, physics, prox, x0=x).x
    torch.testing.assert_close(result.x, x)


def test_momentum_carries_images_on_before_they_are_denoised(physics, y, prox):
    result = Continuation(sigma=0.02, first_sigma=0.16, lambda_reg=0.7, momentum=0.5, max_iter=3)(
        y, physics, prox
    )
    x = before = physics.A_adjoint(y)
    for sigma in (0.16, 0.08, 0.04):
        denoised = prox(x + 0.5 * (x - before), sigma)
        before, x = x, solved(physics, y, denoised, 0.7 * (0.02 / sigma) ** 2)
    torch.testing.assert_close(result.x, x, rtol=0, atol=1e-5)


def test_a_self_ensemble_denoises_mirror_images_in_turn(physics, y, prox):
    class Recorded(LearnedProx):
        def __call__(self, x, sigma, **options):
            seen.append(x)
            return super().__call__(x, sigma, **options)

    seen: list[torch.Tensor] = []
    settings = {"sigma": 0.02, "first_sigma": 0.16, "lambda_reg": 0.7, "max_iter": 5}
    result = Continuation(**settings, self_ensemble=True)(y, physics, Recorded(prox.network))
    x, axes = physics.A_adjoint(y), [(), (-1,), (-2, -1), (-2,), ()]
    for number, flipped in enumerate(axes):
        torch.testing.assert_close(seen[number], x.flip(flipped), rtol=0, atol=1e-6)
        level = Continuation(**settings).level(number)
        denoised = prox(x.flip(flipped), level).flip(flipped)
        x = solved(physics, y, denoised, 0.7 * (0.02 / level) ** 2)
    torch.testing.assert_close(result.x, x, rtol=0, atol=1e-5)


def test_images_with_kernels_of_their_own_stop_by_themselves(prox, make_image):
    kernels = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    physics = deepinv.physics.BlurFFT((1, *SIZE), filter=kernels)
    sharp = make_image(*SIZE)
    y = physics.A(torch.cat([sharp, 0 * sharp]))
    solver = HQS(sigma=0.1, lambda_reg=0.2, max_iter=8, tol=1e-6)
    sizes = []
    result = solver(y, physics, prox, callback=lambda step: sizes.append(len(step.state.x)))
    assert sizes[-1] == 1
    first = deepinv.physics.BlurFFT((1, *SIZE), filter=kernels[:1])
    torch.testing.assert_close(result.x[:1], solver(y[:1], first, prox).x)


@pytest.mark.parametrize("fidelity", [deepinv.optim.L1(), deepinv.optim.PoissonLikelihood()])
def test_primal_dual_reaches_what_it_seeks_where_the_prior_is_convex(fidelity, make_network, make_image):
    # With spread 0 the network is the identity up to rounding, hence nonexpansive.
    prox = LearnedProx(make_network(spread=0.0))
    physics = CircularBlur(gaussian_kernel(0.6).double(), SIZE)
    y = physics.A(make_image(*SIZE)).clamp_min(0.05)
    settings = {"sigma": 0.1, "lambda_reg": 0.5, "box": (0.0, 1.0), "tol": 0}
    short = PrimalDual(**settings, max_iter=30)(y, physics, prox, fidelity=fidelity)
    long = PrimalDual(**settings, max_iter=150)(y, physics, prox, fidelity=fidelity)
    assert not long.certified
    assert long.x.min() >= 0
    assert long.x.max() <= 1
    assert long.objective[0, -1] < short.objective[0, -1] < short.objective[0, 0]
    # No nearby image in the box is better.
    for size in (1e-2, 1e-3):
        rival = (long.x + size * torch.randn(40, *long.x.shape[1:], dtype=torch.float64)).clamp(0, 1)
        values = torch.stack([fidelity.fn(r[None], y, physics)[0] for r in rival])
        values = values + 0.5 * prox.regularizer(rival, 0.1)
        assert values.min() >= long.objective[0, -1] - 1e-9


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PrimalDual(sigma=0.1, lambda_reg=0), "lambda_reg"),
        (lambda: PrimalDual(sigma=0.1, dual_stepsize=0), "dual_stepsize"),
        (lambda: ScheduledHQS(sigma=0.1, noise=0), "noise"),
        (lambda: ScheduledHQS(sigma=0.1, noise=0.1, first_sigma=0.01), "first_sigma"),
        (lambda: Continuation(sigma=0.1, first_sigma=0.1), "first_sigma"),
        (lambda: Continuation(sigma=0.1, lambda_reg=0.0), "lambda_reg"),
        (lambda: Continuation(sigma=0.1, momentum=1.0), "momentum"),
    ],
)
def test_illegal_settings_are_refused_when_built(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_primal_dual_refuses_a_long_step(physics, y, prox):
    with pytest.raises(InputError, match=r"between 0 and 0\.5"):
        PrimalDual(sigma=0.1, lambda_reg=2.0, dual_stepsize=1.0, stepsize=0.51)(y, physics, prox)
