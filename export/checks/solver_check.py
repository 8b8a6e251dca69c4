"""Verification of an exported solver: the same images, objectives and step counts as torch in double precision?"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from gradprox.export.checks.report import Report, check_legal, demand, run
from gradprox.export.graph.problem import Deblurring, Problem, Sensing
from gradprox.export.graph.solver_steps import ALGORITHMS
from gradprox.export.runtime.providers import open_session
from gradprox.export.runtime.solver import STATUS
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import GradientStepDenoiser, LearnedProx, prior_of
from gradprox.solvers import GD, PGD
from gradprox.solvers.deblurring import deblur_images

# Largest error of a pixel after 50 steps in single precision, relative to the largest pixel of the input.
PARITY_TOLERANCE = 1e-5
# Largest error of an objective, relative to the energy |y|^2/2 of the image.
OBJECTIVE_TOLERANCE = 1e-6

Array = NDArray[Any]


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


OUTPUTS = ("x", "residuals", "objective", "steps", "status")


@dataclass(frozen=True, kw_only=True)
class SolverReport(Report):
    """Figures of a verified solver.

    Attributes:
        runs: the cases.
        steps: for each case, the steps that each image took, in ONNX Runtime as in torch.
        objective_error: largest difference of an objective, relative to ``|y|^2/2`` of its image.
    """

    runs: tuple[Case, ...]
    steps: tuple[tuple[int, ...], ...]
    objective_error: float

    def further_rows(self) -> list[tuple[str, str, str]]:
        """See `Report.further_rows`."""
        return [
            (
                "objective, error relative to |y|^2/2",
                f"{self.objective_error:.1e}",
                f"at most {OBJECTIVE_TOLERANCE:g}",
            ),
            ("step counts and statuses", "same", "of every image"),
        ]


def examine_solver(
    model: ModelProto, content: bytes, network: ImageNetwork, algorithm: str, problem: Problem
) -> SolverReport:
    """Verify an exported solver.

    Args:
        model: the model.
        content: the bytes of the file that holds it.
        network: the network of its prior.
        algorithm: the algorithm that the file states.
        problem: the kind of measurement that it inverts.

    Raises:
        VerificationError: the model is not legal, or not that solver.
    """
    check_legal(model)
    demand(algorithm in ALGORITHMS, f"its algorithm is {algorithm!r}")
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    names = [output.name for output in session.get_outputs()]
    demand(names == list(OUTPUTS), f"it has the outputs {', '.join(names)}")
    prior = prior_of(copy.deepcopy(network).double())

    error, error_at, objective_error, taken = 0.0, "", 0.0, []
    takes_start = "x0" in [value.name for value in session.get_overridable_initializers()]
    every = CASES if isinstance(problem, Deblurring) else SENSING_CASES
    # Files of earlier versions take no start.
    cases = tuple(case for case in every if takes_start or not case.start)
    if network.channels != 1:
        cases = tuple(case._replace(channels=network.channels) for case in cases)
    for number, case in enumerate(cases):
        y, kernel = _measured(case, number, problem)
        settings = {
            name: np.array([value], np.float32) for name, value in _settings(case, algorithm, prior).items()
        }
        start = _start(case, number, y, problem)
        x, _, objective, steps, status = run(
            session, {"y": y, **kernel, **settings, "max_iter": np.array(case.max_iter), **start}
        )
        label = f"{'x'.join(map(str, x.shape))} after {case.max_iter} steps"
        taken.append(tuple(steps.tolist()))
        numbers = {name: float(value[0]) for name, value in settings.items()}
        expected, expected_steps, expected_status, expected_objective = _expected(
            case, y, kernel, start, prior, algorithm, problem, numbers
        )
        demand(steps.tolist() == expected_steps, f"{label}: {steps.tolist()} steps, not {expected_steps}")
        demand(
            status.tolist() == expected_status,
            f"{label}: the statuses {status.tolist()}, not {expected_status}",
        )
        demand(objective.shape == expected_objective.shape, f"{label}: {objective.shape} objectives")
        known = np.isfinite(expected_objective)
        demand(bool((np.isfinite(objective) == known).all()), f"{label}: objectives missing")
        if known.any():
            # Near the minimum an objective is a small difference of terms as large as the energy of the image.
            energy = np.square(y, dtype=np.float64).reshape(case.batch, -1).sum(axis=1)[:, None] / 2
            gap = (np.abs(objective - expected_objective) / energy)[known].max()
            objective_error = float(np.maximum(objective_error, gap))
        difference = float(np.abs(x - expected).max() / np.abs(y).max())
        if difference >= error or np.isnan(difference):
            error, error_at = difference, label
    demand(error <= PARITY_TOLERANCE, f"it differs from the solver by {error:.1e} ({error_at})")
    demand(objective_error <= OBJECTIVE_TOLERANCE, f"its objective differs by {objective_error:.1e}")
    return SolverReport(
        cases=len(cases),
        error=error,
        error_at=error_at,
        error_tolerance=PARITY_TOLERANCE,
        runs=cases,
        steps=tuple(taken),
        objective_error=objective_error,
    )


def _settings(case: Case, algorithm: str, prior: LearnedProx | GradientStepDenoiser) -> dict[str, float]:
    """Return the settings of a case, under the names that the solvers and the inputs of a file share."""
    shared = {"sigma": case.sigma, "tol": case.tol}
    if algorithm == "pgd":
        return shared | {"stepsize": case.stepsize}
    limit = 2 / (1 + case.lambda_reg * prior.curvature_bound())
    return shared | {"lambda_reg": case.lambda_reg, "stepsize": case.stepsize * limit}


def _measured(case: Case, seed: int, problem: Problem) -> tuple[Array, dict[str, Array]]:
    """Return measurements with a little noise, and a random kernel where the problem has one.

    Images are blocks of gray, and each has another contrast. They are really blurred, as a deblurring solver amplifies
    the rounding errors of sharp images.
    """
    generator = np.random.default_rng(seed)
    height, width = problem.physics.size if isinstance(problem, Sensing) else case.size
    kernel = generator.uniform(0, 1, (1, 1, *case.kernel))
    kernel /= kernel.sum()
    if isinstance(problem, Deblurring) and problem.name == "valid":
        height, width = height + case.kernel[0] - 1, width + case.kernel[1] - 1
    blocks = generator.uniform(0, 1, (case.batch, case.channels, height // 4 + 1, width // 4 + 1))
    images = np.kron(blocks, np.ones((4, 4)))[..., :height, :width]
    images *= np.linspace(0.2, 1, case.batch)[:, None, None, None]
    blur = torch.from_numpy(kernel.astype(np.float32))
    y = problem.operator(blur).A(torch.from_numpy(images.astype(np.float32))).numpy()
    y = (y + 0.01 * generator.standard_normal(y.shape)).astype(np.float32)
    return y, {"kernel": blur.numpy()} if isinstance(problem, Deblurring) else {}


def _start(case: Case, seed: int, y: Array, problem: Problem) -> dict[str, Array]:
    """Return first images of uniform noise, in the shape of the result, where the case gives them."""
    if not case.start:
        return {}
    shape = (case.batch, case.channels, *problem.physics.size) if isinstance(problem, Sensing) else y.shape
    return {"x0": np.random.default_rng(seed).random(shape, dtype=np.float32)}


def _expected(
    case: Case,
    y: Array,
    kernel: dict[str, Array],
    start: dict[str, Array],
    prior: LearnedProx | GradientStepDenoiser,
    algorithm: str,
    problem: Problem,
    numbers: dict[str, float],
) -> tuple[Array, list[int], list[int], Array]:
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
        return first.numpy(), [0] * case.batch, [0] * case.batch, result.objective[:, :1].numpy()
    reasons = [STATUS.index(status.value) for status in result.status]
    return x.numpy(), result.steps.tolist(), reasons, result.objective.numpy()
