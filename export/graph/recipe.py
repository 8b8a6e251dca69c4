"""The preset of an exported solver as numbers: they are part of its graph and of its metadata.

`recipe_of` takes them from `gradprox.solvers.presets.preset`. `Recipe.preset` builds the preset again, by which a file
is verified. So a file keeps its preset when later versions of gradprox choose other numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from gradprox.errors import InputError
from gradprox.export.graph.problem import Deblurring, Problem
from gradprox.export.runtime.solver_settings import SOLVERS
from gradprox.noise_rule import NoiseRule
from gradprox.scales import LARGEST_NOISE
from gradprox.solvers import Continuation
from gradprox.solvers.continuation import falling_level
from gradprox.solvers.presets import Preset, Task, at_level, noise_rule, preset
from gradprox.solvers.solver import Solver

# The solvers of a warm start of compressed sensing: for a prior that is a prox, and for an explicit energy.
WARM_SOLVERS = ("fista", "hqs")


@dataclass(frozen=True)
class Recipe:
    """The numbers of the preset of deblurring, for all noise levels.

    Attributes:
        rule: how the last noise level and the weights follow from the noise.
        first_sigma: noise level of the first step of the warm start, a `gradprox.solvers.Continuation`.
        steps: number of its steps.
        max_iter: planned steps after the warm start.
        tol: tolerance of these steps.
        momentum: the momentum of the warm start.
        self_ensemble: whether the warm start denoises mirror images in turn.
        solver: the solver of these steps, one of `gradprox.export.runtime.solver_settings.SOLVERS`.
    """

    rule: NoiseRule
    first_sigma: float
    steps: int
    max_iter: int
    tol: float
    momentum: float = 0.0
    self_ensemble: bool = False
    solver: str = "hqs"

    # The continuation takes steps of this solver.
    warm_solver: ClassVar[str] = "hqs"

    @property
    def stages(self) -> int:
        """Return the number of noise levels of the warm start."""
        return self.steps

    def preset(
        self, noise: float, strength: float = 1.0, max_iter: int | None = None, tol: float | None = None
    ) -> Preset:
        """Return the preset for a noise level, with the meaning of `gradprox.solvers.presets.preset`."""
        sigma = self.rule.sigma(noise)
        weight = strength * self.rule.lambda_reg(noise, sigma)
        continuation = (
            Continuation(
                sigma=sigma,
                first_sigma=self.first_sigma,
                lambda_reg=weight,
                momentum=self.momentum,
                self_ensemble=self.self_ensemble,
                max_iter=self.steps,
            )
            if sigma < self.first_sigma
            else None
        )
        return Preset(
            _last(self, noise, strength, max_iter, tol),
            () if continuation is None else (continuation,),
            planned=max_iter is None,
        )

    def to_json(self) -> str:
        """Return the recipe for the metadata of a file."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class SensingRecipe:
    """The numbers of the preset of compressed sensing, for all noise levels.

    Attributes:
        rule: how the last noise level follows from the noise.
        first_sigma: noise level of the first solver of the warm start.
        steps: largest number of steps of each solver of the warm start.
        warm_tol: tolerance of these solvers.
        max_iter: planned steps after the warm start.
        tol: tolerance of these steps.
        solver: the solver of these steps, one of `gradprox.export.runtime.solver_settings.SOLVERS`.
        warm_solver: that of the warm start: ``"fista"`` for a prior that is a prox, and ``"hqs"`` for an explicit
            energy.
    """

    rule: NoiseRule
    first_sigma: float
    steps: tuple[int, ...]
    warm_tol: float
    max_iter: int
    tol: float
    solver: str = "fista"
    warm_solver: str = "fista"

    @property
    def stages(self) -> int:
        """Return the number of noise levels of the warm start."""
        return len(self.steps)

    def preset(
        self, noise: float, strength: float = 1.0, max_iter: int | None = None, tol: float | None = None
    ) -> Preset:
        """Return the preset for a noise level; see `gradprox.solvers.presets.preset`."""
        sigma = self.rule.sigma(noise)
        warm_start = (
            at_level(
                *(self.warm_solver, self.rule, noise),
                falling_level(self.first_sigma, sigma, k / self.stages),
                strength,
                max_iter=self.steps[k],
                tol=self.warm_tol,
            )
            for k in range(self.stages if sigma < self.first_sigma else 0)
        )
        final = _last(self, noise, strength, max_iter, tol)
        return Preset(final, tuple(warm_start), planned=max_iter is None)

    def to_json(self) -> str:
        """Return the recipe for the metadata of a file."""
        return json.dumps(asdict(self))


def _last(
    recipe: Recipe | SensingRecipe, noise: float, strength: float, max_iter: int | None, tol: float | None
) -> Solver[Any]:
    """Return the last solver of a preset."""
    return at_level(
        *(recipe.solver, recipe.rule, noise, recipe.rule.sigma(noise), strength),
        max_iter=recipe.max_iter if max_iter is None else max_iter,
        tol=recipe.tol if tol is None else tol,
    )


def recipe_of(task: Task, solver: str | None = None, *, is_prox: bool = True) -> Recipe | SensingRecipe:
    """Return the recipe of the preset of a task: deblurring or compressed sensing.

    Args:
        task: the task.
        solver: its last solver; the default of the task and the prior if not given.
        is_prox: whether the prior is a prox, or an explicit energy only.

    Raises:
        InputError: the preset is of another kind than an exported solver can run.
    """

    def wanted(noise: float, strength: float) -> Preset:
        given = preset(task, noise, solver=solver, strength=strength)
        energy = given.without_prox
        return replace(given, without_prox=None) if is_prox or energy is None else energy

    example = wanted(0.01, 1.0)
    if not example.warm_start:
        raise InputError(f"the preset of {task.value} cannot be exported")
    first, name = example.warm_start[0], type(example.solver).__name__.lower()
    common: dict[str, Any] = {
        "rule": noise_rule(task),
        "max_iter": example.solver.max_iter,
        "tol": example.solver.tol,
        "solver": name,
    }
    found: Recipe | SensingRecipe
    if isinstance(first, Continuation):
        found = Recipe(
            first_sigma=first.first_sigma,
            steps=first.max_iter,
            momentum=first.momentum,
            self_ensemble=first.self_ensemble,
            **common,
        )
    else:
        found = SensingRecipe(
            first_sigma=first.sigma,
            steps=tuple(stage.max_iter for stage in example.warm_start),
            warm_tol=first.tol,
            warm_solver=type(first).__name__.lower(),
            **common,
        )
    for noise, strength in ((0.0, 1.0), (0.01, 2.0), (0.3, 1.0), (1.0, 1.0)):
        if found.preset(noise, strength) != wanted(noise, strength):
            raise InputError(f"the preset of {task.value} cannot be exported")
    return found


def recipe_in(metadata: Mapping[str, str], problem: Problem, label: str) -> Recipe | SensingRecipe:
    """Return the recipe that the metadata of a file state.

    Args:
        metadata: the metadata of the file.
        problem: the problem of its solver.
        label: the name of the file in messages.

    Raises:
        InputError: they state none, or one that makes no sense.
    """
    try:
        stated: dict[str, Any] = json.loads(metadata["preset"])
        rule = NoiseRule(**stated.pop("rule"))
        found: Recipe | SensingRecipe
        if isinstance(problem, Deblurring):
            found = Recipe(rule=rule, **stated)
        else:
            # Files of earlier versions have the same solver in both places.
            stated.setdefault("warm_solver", stated.get("solver"))
            found = SensingRecipe(rule=rule, steps=tuple(stated.pop("steps")), **stated)
        if found.solver not in SOLVERS or found.warm_solver not in WARM_SOLVERS:
            raise ValueError(f"there is no preset of {found.solver} after {found.warm_solver}")
        found.preset(0.01)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{label}: its metadata describe no preset that this version of gradprox knows"
        ) from error
    return found


class GraphRule(NoiseRule):
    """`NoiseRule` for tensors: comparisons of values become operations of the graph."""

    def level(self, noise: Tensor) -> Tensor:  # type: ignore[override]  # a tensor instead of a number
        """See `NoiseRule.level`."""
        return noise.clamp_min(self.least_noise)

    def sigma(self, noise: Tensor) -> Tensor:  # type: ignore[override]
        """See `NoiseRule.sigma`."""
        return (self.factor * self.level(noise)).clamp(self.least_sigma, LARGEST_NOISE)

    def lambda_reg(self, noise: Any, sigma: Any) -> Any:
        """See `NoiseRule.lambda_reg`."""
        return super().lambda_reg(noise, sigma)
