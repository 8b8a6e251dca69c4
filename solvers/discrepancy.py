"""A preset with the strength that the discrepancy principle chooses for the given measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.contract import Callback
from gradprox.solvers.lambda_search import MAX_TRIALS, choose_lambda
from gradprox.solvers.presets import Preset
from gradprox.solvers.result import Result


@dataclass(frozen=True, repr=False)
class DiscrepancyResult(Result):
    """A reconstruction with a chosen strength. Its steps are those of the run with this strength only.

    Attributes:
        strength: the chosen strength.
        misfit: ``|A x - y|^2`` in units of ``n noise^2``: 1 where the discrepancy principle is met.
    """

    strength: float
    misfit: float

    def _summary(self) -> dict[str, str]:
        return super()._summary() | {"strength": f"{self.strength:.3g}", "misfit": f"{self.misfit:.3g}"}


@dataclass(frozen=True)
class DiscrepancyPreset:
    """A preset with the strength at which misfit and noise agree (`choose_lambda`).

    It is a `gradprox.solvers.contract.Restorer`.

    Attributes:
        preset: returns the preset for a strength.
        noise: standard deviation of the measurement noise.
    """

    preset: Callable[[float], Preset]
    noise: float

    @property
    def max_iter(self) -> int:
        """Return the largest number of steps of all reconstructions together."""
        return MAX_TRIALS * self.preset(1.0).max_iter

    def settings(self, prior: Prior) -> dict[str, Any]:
        """Return the settings with strength 1; see `gradprox.solvers.contract.Restorer.settings`."""
        return self.preset(1.0).settings(prior)

    def __call__(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: Prior,
        *,
        fidelity: DataFidelity | None = None,
        x0: Tensor | None = None,
        callback: Callback | None = None,
    ) -> DiscrepancyResult:
        """Reconstruct at most `MAX_TRIALS` times; see `gradprox.solvers.contract.Restorer`.

        Raises:
            InputError: the noise level is not positive, another data term than least squares is given, or an argument
                cannot be used.
        """
        if fidelity is not None:
            raise InputError(
                "fidelity: the discrepancy principle is for least squares; choose the strength yourself"
            )
        choice = choose_lambda(
            lambda strength: self.preset(strength)(y, physics, prior, x0=x0, callback=callback),
            y,
            physics,
            self.noise,
        )
        return DiscrepancyResult(
            **vars(choice.result), strength=choice.lambda_reg, misfit=choice.tried[choice.lambda_reg]
        )
