"""Verification of an exported preset: the same images, objectives and step counts as in torch in double precision?"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from onnx import ModelProto

from gradprox.export.checks.preset_cases import (
    AFTER_RESTART,
    CASES,
    CLIPPED_CASES,
    DEBLUR_RESTART_CASES,
    ENERGY_SENSING_CASES,
    FISTA_CASES,
    MIRRORED_CASES,
    REAL_CHANGE,
    RESTART_CASES,
    ROUGH_CASES,
    ROUGH_CLIPPED_CASES,
    ROUGH_SENSING_CASES,
    SENSING_CASES,
    SENSING_STEPS,
    Case,
)
from gradprox.export.checks.report import Progress, check_legal, demand, run, silent
from gradprox.export.checks.rough_energy import SCALES, rougher
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
from gradprox.export.runtime.solver import CLIPPING, STATUS
from gradprox.export.runtime.solver_settings import PROXIMAL
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.denoisers.deep_potential import DeepPotential
from gradprox.priors import GradientStepDenoiser, LearnedProx, prior_of
from gradprox.solvers import ClippedL2, Status
from gradprox.solvers.contract import Callback, Step
from gradprox.solvers.deblurring import deblur_images
from gradprox.solvers.fista import FISTAState
from gradprox.solvers.nmapg import NMAPGState
from gradprox.solvers.presets import Preset
from gradprox.solvers.rounding import rounding_of


def examine_preset(
    model: ModelProto,
    content: bytes,
    network: ImageNetwork,
    recipe: Recipe | SensingRecipe,
    problem: Problem,
    progress: Progress = silent,
) -> SolverReport:
    """Verify an exported preset.

    Args:
        model: the model.
        content: the bytes of the file that holds it.
        network: the network of its prior.
        recipe: the numbers of the preset.
        problem: the kind of measurement that it inverts.
        progress: called before each run.

    Raises:
        VerificationError: the model is not legal, or not that preset.
    """
    check_legal(model)
    deblurring, restarts = isinstance(problem, Deblurring), recipe.solver == "fista"
    branches = not network.monotone or recipe.solver in ("fista", "nmapg")
    comparison = Comparison(0 if deblurring else SENSING_STEPS)
    sensing = SENSING_CASES if recipe.solver in PROXIMAL else ENERGY_SENSING_CASES
    clips = any(value.name == CLIPPING for value in model.graph.input)
    photos = (
        *(FISTA_CASES if restarts else CASES),
        *(MIRRORED_CASES if problem.name == "symmetric" else ()),
        *(CLIPPED_CASES if clips else ()),
    )
    cases = photos if deblurring else sensing
    # A restart case is run until the first restart has been seen, which may be one of the other runs.
    restart_cases = RESTART_CASES if not deblurring else DEBLUR_RESTART_CASES
    runs = f"of at most {len(cases) + len(restart_cases)}" if restarts else f"of {len(cases)}"
    compared = _Compared(content, network, recipe, problem, comparison, runs, progress)
    for case in cases:
        compared.add(case)
    if restarts:
        for case in restart_cases:
            compared.add_until_rare(case)
            if compared.rare:
                break
    if isinstance(network, DeepPotential):
        for scale in SCALES:
            rough_model, rough_network = rougher(model, network, scale)
            rough_cases: tuple[Case, ...] = ROUGH_CASES if deblurring else ROUGH_SENSING_CASES
            rough_cases += ROUGH_CLIPPED_CASES if clips else ()
            runs = f"of {len(rough_cases)} of a rougher model"
            rough_content = rough_model.SerializeToString()
            rough = _Compared(rough_content, rough_network, recipe, problem, comparison, runs, progress)
            for case in rough_cases:
                rough.add(case)
            compared.cases += rough.cases
            compared.rare += rough.rare
            if rough.rare:
                break
        demand(compared.rare > 0, "no step was shortened, so that its line search could not be verified")
    report = comparison.report(tuple(compared.cases))
    return replace(report, rare_steps=compared.rare if branches else None)


class _Compared:
    """Runs of a file, compared with the preset in torch.

    Args:
        content: the bytes of the file.
        network: the network of its prior.
        recipe: the numbers of the preset.
        problem: the kind of measurement.
        comparison: the differences found.
        runs: how many runs there will be, in words.
        progress: called before each run.

    Attributes:
        cases: the runs.
        rare: the number of steps that took another branch than usual: that a line search shortened, from which FISTA
            restarted, or where the plain step of NMAPG was the better one.
    """

    def __init__(
        self,
        content: bytes,
        network: ImageNetwork,
        recipe: Recipe | SensingRecipe,
        problem: Problem,
        comparison: Comparison,
        runs: str,
        progress: Progress,
    ) -> None:
        self._session, self._prior = solver_session(content), prior_of(copy.deepcopy(network).double())
        self._recipe, self._problem, self._comparison = recipe, problem, comparison
        self._channels, self._runs, self._progress = network.channels, runs, progress
        self.cases: list[Case] = []
        self.rare, self._first_rare = 0, 0

    def add(self, case: Case) -> None:
        """Compare one run.

        Raises:
            VerificationError: the file cannot be run, or steps or statuses differ.
        """
        recipe, number, case = self._recipe, len(self.cases), self._in_colors(case)
        self.cases.append(case)
        self._progress(
            f"comparing with torch, run {number + 1} {self._runs}: "
            f"{case.batch} x {case.size[0]}x{case.size[1]} pixels, noise {case.noise:.2g}"
        )
        y, kernel, start = self._images(case, number)
        settings = {
            "noise": np.array([case.noise], np.float32),
            "strength": np.array([case.strength], np.float32),
            "tol": np.array([recipe.tol if case.tol is None else case.tol], np.float32),
            "max_iter": np.array(recipe.max_iter if case.max_iter is None else case.max_iter),
        }
        clipping = {CLIPPING: np.array(True)} if case.clipped else {}
        found = run(self._session, {"y": y, **kernel, **settings, **start, **clipping})
        self._comparison.add(f"at noise {case.noise:g}", y, found, self._expected(case, number))

    def add_until_rare(self, case: Case) -> None:
        """Compare a run that ends soon after its first rare step; nothing where it takes none."""
        rare, self._first_rare = self.rare, 0
        self._expected(self._in_colors(case), len(self.cases))
        self.rare = rare
        if self._first_rare:
            self.add(case._replace(max_iter=self._first_rare + AFTER_RESTART))

    def _in_colors(self, case: Case) -> Case:
        """Return a case with the channels of the network, if it takes only one number of them."""
        return case if self._channels == 1 else case._replace(channels=self._channels)

    def _images(self, case: Case, number: int) -> tuple[Array, dict[str, Array], dict[str, Array]]:
        """Return the measurements of a run, its kernel and its start."""
        y, kernel = measured(case, number, self._problem, mirrored=case.mirrored, clipped=case.clipped)
        return y, kernel, first_images(case, number, y, self._problem)

    def _expected(self, case: Case, number: int) -> Expected:
        """Return the result of the preset in torch, with the settings as the file receives them."""
        noise, strength = float(np.float32(case.noise)), float(np.float32(case.strength))
        tol = float(np.float32(self._recipe.tol if case.tol is None else case.tol))
        preset = self._recipe.preset(noise, strength, case.max_iter, tol)
        look = None if preset.warm_start else self._look
        # The file computes in single precision, and its searches accept rises within the rounding errors of that.
        with rounding_of(torch.float32):
            fidelity = ClippedL2() if case.clipped else None
            return _expected(preset, *self._images(case, number), self._prior, self._problem, fidelity, look)

    def _look(self, step: Step) -> None:
        """Count the rare steps of a run without a warm start."""
        state = step.state
        rare = state.step_fraction < 1
        if isinstance(state, FISTAState):
            rare = (state.momentum == 1) & (step.number > 1)
        if isinstance(state, NMAPGState):
            rare |= (state.x != state.outcome).flatten(1).any(dim=1)
        count = int((rare & (step.residual >= REAL_CHANGE)).sum())
        if count and not self._first_rare:
            self._first_rare = step.number
        self.rare += count


def _expected(
    preset: Preset,
    y: Array,
    kernel: dict[str, Array],
    start: dict[str, Array],
    prior: LearnedProx | GradientStepDenoiser,
    problem: Problem,
    fidelity: ClippedL2 | None,
    callback: Callback | None,
) -> Expected:
    """Return the result of the preset in torch."""
    y64 = torch.from_numpy(y).double()
    x0 = torch.from_numpy(start["x0"]).double() if start else None
    if isinstance(problem, Sensing):
        result = preset(y64, copy.deepcopy(problem.physics).double(), prior, x0=x0, callback=callback)
        x = result.x
    else:
        blur = torch.from_numpy(kernel["kernel"]).double()
        x, result = deblur_images(
            *(y64, blur, prior, preset),
            boundary=problem.name,
            fidelity=fidelity,
            x0=x0,
            callback=callback,
        )
    status = [
        0 if status in (Status.COMPLETED, Status.MAX_ITER) else STATUS.index(status.value)
        for status in result.status
    ]
    return Expected(x.numpy(), result.steps.tolist(), status, result.objective.numpy())
