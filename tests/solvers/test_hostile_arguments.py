"""Arguments that nearly fit: each is refused in one line that names the argument, or works."""

from __future__ import annotations

import dataclasses
import inspect
import re

import deepinv
import numpy as np
import pytest
import torch

from gradprox import InputError
from gradprox.networks import GradNetM
from gradprox.physics import CircularBlur, HadamardSensing, ValidBlur, gaussian_kernel
from gradprox.priors import GradientStepDenoiser
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
    Status,
    Task,
    preset,
    unrolled,
)

SIZE = (12, 15)
SOLVERS = (
    PGD(sigma=0.1, max_iter=2),
    HQS(sigma=0.1, max_iter=2),
    NMAPG(sigma=0.1, max_iter=2),
    PrimalDual(sigma=0.1, max_iter=2),
    preset(Task.DEBLUR, 0.01, max_iter=1),
)
KERNEL = gaussian_kernel(0.6).double()
Y = torch.full((1, 1, *SIZE), 0.5, dtype=torch.float64)


@pytest.mark.parametrize("restorer", SOLVERS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"x0": Y.expand(1, 3, *SIZE)},
            r"^x0: expected images .*\(1, 1, 12, 15\).*got shape \(1, 3, 12, 15\)$",
        ),
        ({"x0": Y.float()}, "^x0: expected torch.float64 on cpu like y, got torch.float32"),
        ({"x0": Y.to(torch.complex128)}, "^x0: expected real values in single or double precision"),
        ({"y": Y[..., :-1]}, r"^y: .*\(1, 1, 12, 14\)"),
        ({"y": Y[0]}, r"^y: .*\(1, 12, 15\)"),
        (
            {"y": Y.to(torch.complex128)},
            "^y: expected real values in single or double precision, got torch.complex128",
        ),
        ({"y": Y.half()}, "^y: expected real values .* got torch.float16"),
        ({"y": Y.long()}, "^y: expected real values .* got torch.int64"),
        ({"y": Y[:0]}, r"^y: expected at least one value, got shape \(0, 1, 12, 15\)$"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(restorer, wrong, message, prox):
    right = {"y": Y, "physics": CircularBlur(KERNEL, SIZE), "prior": prox}
    with pytest.raises(InputError, match=message) as refused:
        restorer(**right | wrong)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "physics",
    [
        HadamardSensing(SIZE, 20),
        ValidBlur(KERNEL, SIZE).double(),
        deepinv.physics.Inpainting((1, *SIZE), mask=torch.ones(1, 1, *SIZE).double()),
        CircularBlur(KERNEL.repeat(3, 1, 1, 1), SIZE),
    ],
    ids=["hadamard", "valid", "inpainting", "a kernel per image"],
)
def test_measurements_of_another_size_are_refused(physics, prox):
    y = torch.rand(2, 1, 9, 7, dtype=torch.float64)
    with pytest.raises(InputError, match=r"^y: "):
        HQS(sigma=0.1)(y, physics, prox)


@pytest.mark.parametrize("steps", [2.5, True, "3", 0, float("nan"), torch.tensor([2, 3])])
def test_step_budgets_are_whole_numbers(steps, prox):
    physics = CircularBlur(KERNEL, SIZE)
    for build in (
        lambda: PGD(sigma=0.1, max_iter=steps),
        lambda: preset(Task.DEBLUR, 0.01, max_iter=steps),
    ):
        with pytest.raises(InputError, match=r"^max_iter must be a whole number of at least 1"):
            build()
    with pytest.raises(InputError, match=r"^steps must be a whole number of at least 1"):
        unrolled(PGD(sigma=0.1), Y, physics, prox, steps=steps)


def test_whole_numbers_of_numpy_are_whole(prox):
    result = PGD(sigma=np.float32(0.1), max_iter=np.int64(2), tol=0)(Y, CircularBlur(KERNEL, SIZE), prox)
    assert result.status == [Status.MAX_ITER]


LEVELS = torch.tensor([0.1, 0.2])


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: HQS(sigma=LEVELS), "sigma"),
        (lambda: PGD(sigma=[0.1, 0.2]), "sigma"),
        (lambda: HQS(sigma=0.1, lambda_reg=LEVELS), "lambda_reg"),
        (lambda: GD(sigma=0.1, lambda_reg=LEVELS), "lambda_reg"),
        (lambda: NMAPG(sigma=0.1, memory=LEVELS), "memory"),
        (lambda: PGD(sigma=0.1, tol=LEVELS), "tol"),
        (lambda: PGD(sigma=0.1, lipschitz=LEVELS), "lipschitz"),
        (lambda: PGD(sigma=0.1, stepsize=LEVELS), "stepsize"),
        (lambda: FISTA(sigma=0.1, stepsize=LEVELS), "stepsize"),
        (lambda: ADMM(sigma=0.1, stepsize=LEVELS), "stepsize"),
        (lambda: DRS(sigma=0.1, relaxation=LEVELS), "relaxation"),
        (lambda: GD(sigma=0.1, stepsize=LEVELS), "stepsize"),
        (lambda: PrimalDual(sigma=0.1, dual_stepsize=LEVELS), "dual_stepsize"),
        (lambda: ScheduledHQS(sigma=0.1, noise=LEVELS), "noise"),
        (lambda: preset(Task.DEBLUR, LEVELS), "noise"),
        (lambda: preset(Task.DEBLUR, 0.01, strength=LEVELS), "strength"),
    ],
)
def test_one_value_per_image_is_refused_by_name(build, name):
    with pytest.raises(InputError, match=rf"^{name} must be one number for the whole batch, got"):
        build()


def test_a_tensor_of_one_number_is_refused_with_advice():
    with pytest.raises(InputError, match=r"shape \(\): give its \.item\(\)$"):
        preset(Task.DEBLUR, torch.tensor(0.01))


@pytest.mark.parametrize("box", [(1, 0), (0,), [0, 1], (0, float("nan")), 1])
def test_a_box_is_a_pair_in_order(box):
    with pytest.raises(InputError, match=r"^box must be"):
        NMAPG(sigma=0.1, box=box)


class TestPriorsWithoutAProx:
    """A gradient network that is not monotone has an explicit energy only."""

    @pytest.fixture
    def prior(self):
        return GradientStepDenoiser(GradNetM.conv(1, 4, 3).double(), "energy")

    @pytest.mark.parametrize(
        "solver",
        [
            PGD(sigma=0.1),
            FISTA(sigma=0.1),
            ADMM(sigma=0.1),
            DRS(sigma=0.1),
            ScheduledHQS(sigma=0.1, noise=0.1),
        ],
    )
    def test_are_refused_at_the_start_with_the_reason(self, solver, prior):
        assert solver.needs_prox
        steps = []
        with pytest.raises(
            InputError, match=r"^prior: .* needs a proximal operator, but energy has only an explicit energy"
        ):
            solver(Y, CircularBlur(KERNEL, SIZE), prior, callback=steps.append)
        assert not steps

    @pytest.mark.parametrize("solver", [GD(sigma=0.1, lambda_reg=0.3), NMAPG(sigma=0.1, lambda_reg=0.3)])
    def test_serve_solvers_of_the_explicit_objective(self, solver, prior, make_image):
        assert not solver.needs_prox
        physics = CircularBlur(KERNEL, SIZE)
        y = physics.A(make_image(*SIZE))
        result = solver(y, physics, prior)
        assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)
        assert int(result.objective_increases) == 0

    def test_need_a_proven_curvature_for_a_step_size(self, prior, monkeypatch):
        monkeypatch.setattr(prior.network, "lipschitz_bound", lambda: float("inf"))
        with pytest.raises(InputError, match=r"^prior: PrimalDual takes its step size from the curvature"):
            PrimalDual(sigma=0.1)(Y, CircularBlur(KERNEL, SIZE), prior)
        result = NMAPG(sigma=0.1, max_iter=5)(Y, CircularBlur(KERNEL, SIZE), prior)
        assert int(result.objective_increases) == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: HQS(sigma=0.1, max_steps=5),
            r"^HQS has no setting max_steps: did you mean max_iter\? It has",
        ),
        (lambda: PGD(sigma=0.1, lambda_reg=0.1), r"^PGD has no setting lambda_reg: It has sigma, max_iter"),
        (lambda: GD(max_iter=5), "^GD needs the setting sigma; it has sigma, max_iter"),
        (lambda: HQS(0.1), r"^HQS takes its settings by name, one of sigma, .*; got 0\.1"),
    ],
)
def test_settings_by_another_name_are_refused_with_the_right_one(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize(
    "kind", [ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, Continuation, PrimalDual, ScheduledHQS]
)
def test_help_describes_every_setting_once(kind):
    text = inspect.getdoc(kind)
    for field in dataclasses.fields(kind):
        assert len(re.findall(rf"^    {field.name}: \S", text, flags=re.MULTILINE)) == 1
    assert "see the class" not in text
    assert [*inspect.signature(kind).parameters] == [field.name for field in dataclasses.fields(kind)]


def test_help_takes_the_words_of_the_nearest_class():
    text = inspect.getdoc(ScheduledHQS)
    assert "length of the schedule" in text
    assert "largest number of steps" not in text
    assert "noise level that the prior assumes" in text
