"""A preset whose strength is chosen for the measurements at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.priors import LearnedProx
from gradprox.solvers.lambda_search import MAX_TRIALS, choose_lambda
from gradprox.solvers.presets import Preset
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Callback, Solver


@dataclass(frozen=True)
class DiscrepancyResult(Result):
    """A reconstruction whose strength was chosen; its steps are those of the last choice alone.

    Attributes:
        strength: the one chosen.
        misfit: ``|A x - y|^2`` in units of ``n noise^2``: 1 where the discrepancy principle could be met.
    """

    strength: float
    misfit: float


@dataclass(frozen=True)
class DiscrepancyPreset:
    """A preset with the strength that balances its misfit and the noise (`choose_lambda`).

    Attributes:
        preset: the preset of a strength.
        noise: standard deviation of the measurement noise.
    """

    preset: Callable[[float], Preset]
    noise: float

    @property
    def solver(self) -> Solver[Any]:
        """Return the solver of strength 1."""
        return self.preset(1.0).solver

    @property
    def max_iter(self) -> int:
        """Return the step budget of all trials together."""
        return MAX_TRIALS * self.preset(1.0).max_iter

    def __call__(
        self, y: Tensor, physics: LinearPhysics, prior: LearnedProx, *, callback: Callback | None = None
    ) -> DiscrepancyResult:
        """Reconstruct, a few times; see `Solver.__call__`.

        Raises:
            InputError: the noise level is not positive.
        """
        choice = choose_lambda(
            lambda strength: self.preset(strength)(y, physics, prior, callback=callback),
            y,
            physics,
            self.noise,
        )
        return DiscrepancyResult(
            **vars(choice.result), strength=choice.lambda_reg, misfit=choice.tried[choice.lambda_reg]
        )
