"""The settings of a prior as functions of the noise, in presets and in exported solvers."""

from __future__ import annotations

import math

import pytest

from gradprox.errors import InputError
from gradprox.noise_rule import LEAST_NOISE, NoiseRule
from gradprox.solvers import Task, preset
from gradprox.solvers.presets import EXPLICIT, SOLVERS, noise_rule


def test_levels_and_weight():
    rule = NoiseRule(2.0, least_sigma=0.05, least_noise=0.01, balance=0.5)
    assert rule.sigma(0.04) == 0.08
    assert rule.sigma(0.001) == 0.05
    assert rule.lambda_reg(0.04, sigma=0.08) == pytest.approx(0.125)
    assert rule.lambda_reg(0.0, sigma=0.05) == pytest.approx(0.02)
    assert NoiseRule(0.7).sigma(0.0) == 0.7 * LEAST_NOISE


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", Task)
def test_presets_follow_the_rule_of_their_task(task, solver):
    for noise in (0.0, 0.02):
        chosen, rule = preset(task, noise, solver=solver, strength=2.0).solver, noise_rule(task)
        sigma = rule.sigma(noise)
        if solver in EXPLICIT:
            assert chosen.sigma == sigma
            assert chosen.lambda_reg == pytest.approx(2 * rule.lambda_reg(noise, sigma))
        else:
            assert chosen.sigma == 2 * sigma


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", Task)
def test_every_legal_noise_has_a_preset(task, solver):
    assert preset(task, 1.0, solver=solver).solver.sigma <= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"factor": 0.0},
        {"factor": math.nan},
        {"factor": math.inf},
        {"factor": 1.0, "least_sigma": -0.1},
        {"factor": 1.0, "least_noise": 0.0},
        {"factor": 1.0, "balance": -1.0},
    ],
)
def test_illegal_rules(settings):
    with pytest.raises(ValueError, match="not a rule"):
        NoiseRule(**settings)


def test_unknown_names():
    with pytest.raises(InputError, match="task x is unknown"):
        noise_rule("x")
    with pytest.raises(InputError, match="solver x is unknown"):
        preset("deblur", 0.01, solver="x")
