"""Verification of an exported PGD or GD: the same images, objectives and step counts as torch in double precision?"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from onnx import ModelProto

from gradprox.export.checks.report import Progress, check_legal, demand, run, silent
from gradprox.export.checks.solver_comparison import (
    Array,
    Comparison,
    Expected,
    SolverReport,
    first_images,
    measured,
    solver_session,
)
from gradprox.export.graph.problem import Deblurring, Problem, Sensing
from gradprox.export.graph.solver_steps import ALGORITHMS
from gradprox.export.runtime.solver import STATUS
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import GradientStepDenoiser, LearnedProx, prior_of
from gradprox.solvers import GD, PGD
from gradprox.solvers.deblurring import deblur_images


class Case(NamedTuple):
    """One run.

    Attributes:
        batch: number of images.
        channels: number of channels.
        size: height and width of the image.
        kernel: height and width of the kernel.
        max_iter: step budget.
        tol: tolerance.
        sigma: noise level.
        lambda_reg: weight of the regularizer; of GD only.
        stepsize: step size, relative to its limit.
        start: whether the first images are given.
    """

    batch: int
    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    max_iter: int
    tol: float
    sigma: float = 0.05
    lambda_reg: float = 0.7
    stepsize: float = 0.95
    start: bool = False


CASES = (
    Case(1, 1, (16, 17), (4, 5), 50, 0.0),
    Case(3, 2, (23, 19), (5, 3), 50, 3e-3),
    Case(2, 1, (48, 60), (9, 8), 20, 0.0, sigma=0.02, lambda_reg=2.0, stepsize=0.5),
    Case(1, 3, (31, 37), (1, 1), 3, 0.0),
    Case(2, 1, (24, 24), (7, 7), 1, 0.0),
    Case(2, 1, (23, 19), (5, 3), 0, 0.0),
    Case(1, 1, (1, 1), (1, 1), 5, 0.0),
    Case(2, 3, (19, 23), (3, 6), 20, 3e-3, start=True),
    Case(2, 1, (17, 15), (4, 3), 0, 0.0, start=True),
)
# The size of images is that of the physics, and kernels are not used.
SENSING_CASES = (
    Case(1, 1, (0, 0), (1, 1), 50, 0.0),
    Case(3, 2, (0, 0), (1, 1), 30, 3e-3),
    Case(2, 1, (0, 0), (1, 1), 0, 0.0),
    Case(2, 3, (0, 0), (1, 1), 20, 3e-3, start=True),
    Case(2, 1, (0, 0), (1, 1), 0, 0.0, start=True),
)


def examine_solver(
    model: ModelProto,
    content: bytes,
    network: ImageNetwork,
    algorithm: str,
    problem: Problem,
    progress: Progress = silent,
) -> SolverReport:
    """Verify an exported solver.

    Args:
        model: the model.
        content: the bytes of the file that holds it.
        network: the network of its prior.
        algorithm: the algorithm that the file states.
        problem: the kind of measurement that it inverts.
        progress: called before each run.

    Raises:
        VerificationError: the model is not legal, or not that solver.
    """
    check_legal(model)
    demand(algorithm in ALGORITHMS, f"its algorithm is {algorithm!r}")
    session = solver_session(content)
    prior = prior_of(copy.deepcopy(network).double())

    comparison = Comparison()
    takes_start = "x0" in [value.name for value in session.get_overridable_initializers()]
    every = CASES if isinstance(problem, Deblurring) else SENSING_CASES
    # Files of earlier versions take no start.
    cases = tuple(case for case in every if takes_start or not case.start)
    if network.channels != 1:
        cases = tuple(case._replace(channels=network.channels) for case in cases)
    for number, case in enumerate(cases):
        progress(f"comparing with torch, {number + 1} of {len(cases)}: {case.max_iter} steps")
        y, kernel = measured(case, number, problem)
        settings = {
            name: np.array([value], np.float32) for name, value in _settings(case, algorithm, prior).items()
        }
        start = first_images(case, number, y, problem)
        found = run(session, {"y": y, **kernel, **settings, "max_iter": np.array(case.max_iter), **start})
        numbers = {name: float(value[0]) for name, value in settings.items()}
        expected = _expected(case, y, kernel, start, prior, algorithm, problem, numbers)
        comparison.add(f"after {case.max_iter} steps", y, found, expected)
    return comparison.report(cases)


def _settings(case: Case, algorithm: str, prior: LearnedProx | GradientStepDenoiser) -> dict[str, float]:
    """Return the settings of a case, under the names that the solvers and the inputs of a file share."""
    shared = {"sigma": case.sigma, "tol": case.tol}
    if algorithm == "pgd":
        return shared | {"stepsize": case.stepsize}
    limit = 2 / (1 + case.lambda_reg * prior.curvature_bound())
    return shared | {"lambda_reg": case.lambda_reg, "stepsize": case.stepsize * limit}


def _expected(
    case: Case,
    y: Array,
    kernel: dict[str, Array],
    start: dict[str, Array],
    prior: LearnedProx | GradientStepDenoiser,
    algorithm: str,
    problem: Problem,
    numbers: dict[str, float],
) -> Expected:
    """Return images, steps, statuses and objectives of the torch solver; with a budget of 0, its start."""
    budget, sigma, tol = max(1, case.max_iter), numbers["sigma"], numbers["tol"]
    stepsize = numbers["stepsize"]
    solver: PGD | GD
    if algorithm == "pgd":
        solver = PGD(sigma=sigma, max_iter=budget, tol=tol, stepsize=stepsize)
    else:
        weight = numbers["lambda_reg"]
        solver = GD(sigma=sigma, lambda_reg=weight, max_iter=budget, tol=tol, stepsize=stepsize)
    y64 = torch.from_numpy(y).double()
    x0 = torch.from_numpy(start["x0"]).double() if start else None
    if isinstance(problem, Sensing):
        physics = copy.deepcopy(problem.physics).double()
        result = solver(y64, physics, prior, x0=x0)
        x, first = result.x, physics.initial(y64) if x0 is None else x0
    else:
        blur = torch.from_numpy(kernel["kernel"]).double()
        x, result = deblur_images(y64, blur, prior, solver, boundary=problem.name, x0=x0)
        first = y64 if x0 is None else x0
    if case.max_iter == 0:
        return Expected(first.numpy(), [0] * case.batch, [0] * case.batch, result.objective[:, :1].numpy())
    reasons = [STATUS.index(status.value) for status in result.status]
    return Expected(x.numpy(), result.steps.tolist(), reasons, result.objective.numpy())
