"""Verification of an exported preset: the same images, objectives and step counts as in torch in double precision?"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from onnx import ModelProto

from gradprox.export.checks.report import check_legal, run
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
from gradprox.export.graph.recipe import Recipe, SensingRecipe
from gradprox.export.runtime.solver import STATUS
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import LearnedProx
from gradprox.solvers import Status
from gradprox.solvers.deblurring import deblur_images
from gradprox.solvers.presets import Preset


class Case(NamedTuple):
    """One run.

    Attributes:
        batch: number of images.
        channels: number of channels.
        size: height and width of the image.
        kernel: height and width of the kernel.
        noise: noise level that the preset is told.
        strength: strength of the prior, relative to the preset.
        max_iter: step budget after the warm start; None for the planned steps.
        tol: tolerance; None for that of the preset.
        start: whether the first images are given.
    """

    batch: int
    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    noise: float
    strength: float = 1.0
    max_iter: int | None = None
    tol: float | None = None
    start: bool = False


# Odd and even sizes, one pixel; images that stop one by one; noise below that of 8 bits, and too much for a warm start.
# Blurred images have enough noise. With less, the fits of a valid blur are so ill-conditioned that their conjugate
# gradients end early, and rounding errors of 1e-8 move the images of torch itself by 1e-3 (of blocks, not of photos).
CASES = (
    Case(1, 1, (16, 17), (4, 5), 0.04),
    Case(3, 2, (23, 18), (5, 3), 0.03, max_iter=30, tol=3e-3),
    Case(2, 1, (31, 24), (7, 7), 0.04, strength=2.0),
    Case(1, 3, (20, 21), (1, 1), 0.0),
    Case(1, 1, (1, 1), (1, 1), 0.285),
    Case(2, 1, (17, 15), (4, 3), 0.285, tol=0.0),
    Case(2, 3, (19, 14), (3, 6), 0.04, strength=0.5, start=True),
)


# FISTA restarts where the objective rises. Near convergence that is a matter of rounding, and moves the step at which a
# solver of the warm start is done.
RESTART_STEPS = 2
# The size of images is that of the physics, and kernels are not used. Few images, as a preset takes up to a hundred
# steps.
SENSING_CASES = (
    Case(1, 1, (0, 0), (1, 1), 0.18, tol=0.0),
    Case(1, 1, (0, 0), (1, 1), 0.01),
    Case(2, 1, (0, 0), (1, 1), 0.05, max_iter=30, tol=3e-3),
    Case(1, 3, (0, 0), (1, 1), 0.18, strength=0.9, max_iter=6, start=True),
)


def examine_preset(
    model: ModelProto, content: bytes, network: ImageNetwork, recipe: Recipe | SensingRecipe, problem: Problem
) -> SolverReport:
    """Verify an exported preset.

    Args:
        model: the model.
        content: the bytes of the file that holds it.
        network: the network of its prior.
        recipe: the numbers of the preset.
        problem: the kind of measurement that it inverts.

    Raises:
        VerificationError: the model is not legal, or not that preset.
    """
    check_legal(model)
    session, prior = solver_session(content), LearnedProx(copy.deepcopy(network).double())
    deblurring = isinstance(problem, Deblurring)
    cases: tuple[Case, ...] = CASES if deblurring else SENSING_CASES
    comparison = Comparison(0 if deblurring else RESTART_STEPS)
    if network.channels != 1:
        cases = tuple(case._replace(channels=network.channels) for case in cases)
    for number, case in enumerate(cases):
        y, kernel = measured(case, number, problem)
        start = first_images(case, number, y, problem)
        # As the file receives it.
        tol = np.array([recipe.tol if case.tol is None else case.tol], np.float32)
        settings = {
            "noise": np.array([case.noise], np.float32),
            "strength": np.array([case.strength], np.float32),
            "tol": tol,
            "max_iter": np.array(recipe.max_iter if case.max_iter is None else case.max_iter),
        }
        found = run(session, {"y": y, **kernel, **settings, **start})
        noise = float(settings["noise"][0])
        preset = recipe.preset(noise, case.strength, case.max_iter, float(tol[0]))
        expected = _expected(preset, y, kernel, start, prior, problem)
        comparison.add(f"at noise {case.noise:g}", y, found, expected)
    return comparison.report(cases)


def _expected(
    preset: Preset,
    y: Array,
    kernel: dict[str, Array],
    start: dict[str, Array],
    prior: LearnedProx,
    problem: Problem,
) -> Expected:
    """Return the result of the preset in torch."""
    y64 = torch.from_numpy(y).double()
    x0 = torch.from_numpy(start["x0"]).double() if start else None
    if isinstance(problem, Sensing):
        result = preset(y64, copy.deepcopy(problem.physics).double(), prior, x0=x0)
        x = result.x
    else:
        blur = torch.from_numpy(kernel["kernel"]).double()
        x, result = deblur_images(y64, blur, prior, preset, boundary=problem.name, x0=x0)
    status = [
        0 if status in (Status.COMPLETED, Status.MAX_ITER) else STATUS.index(status.value)
        for status in result.status
    ]
    return Expected(x.numpy(), result.steps.tolist(), status, result.objective.numpy())
