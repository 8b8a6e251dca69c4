"""The settings of a solver, which `gradprox deblur`, `recover` and `evaluate` share."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprox.cli import option_values, options
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.priors.contract import Prior
    from gradprox.solvers import Preset, Restorer

# Checks of settings that do not depend on the noise need some level.
ANY_NOISE = 0.01


@dataclass(frozen=True)
class Tuning:
    """The settings of a solver.

    Attributes:
        solver: its name; that of the preset if None.
        strength: multiplier of the preset's regularization, or ``auto``.
        steps: step budget after the warm start; that of the preset if None.
        tol: tolerance on the relative change; that of the preset if None.
    """

    solver: options.Solver = None
    strength: options.Strength = "1"
    steps: options.Steps = None
    tol: options.Tol = None

    def __post_init__(self) -> None:
        """Refuse unusable values at once: the solvers, which refuse them too, take seconds to import.

        Raises:
            InputError: the solver is unknown, or the strength or the tolerance is out of range.
        """
        if self.solver is not None:
            option_values.check_choice("--solver", self.solver, options.SOLVERS)
        if self.tol is not None and not 0 <= self.tol < 1:
            raise InputError(f"--tol must be at least 0 and less than 1, got {self.tol:g}")
        option_values.parse_strength(self.strength)

    def describe(self) -> dict[str, Any]:
        """Return the settings, for a report."""
        return dataclasses.asdict(self) | {"strength": self.factor or "auto"}

    @property
    def factor(self) -> float | None:
        """The strength as a number; None if it is chosen for each image."""
        return option_values.parse_strength(self.strength)

    @property
    def needs_prox(self) -> bool:
        """Whether the named solver needs a proximal operator."""
        from gradprox.solvers.presets import PROXIMAL

        return self.solver in PROXIMAL

    def preset(self, task: str, noise: float) -> Restorer:
        """Return the solver for measurements with noise of standard deviation ``noise``.

        Args:
            task: a value of `gradprox.solvers.presets.Task`.
            noise: on the scale of images in ``[0, 1]``.

        Raises:
            InputError: a setting is unusable.
        """
        if self.factor is not None:
            return self._preset(task, noise, self.factor)
        if noise == 0:
            raise InputError("--strength auto: there is no noise to match: give a number, for example 1")
        from gradprox.solvers.discrepancy import DiscrepancyPreset

        self._preset(task, noise, 1.0)  # refuses unusable settings before any image is read
        return DiscrepancyPreset(functools.partial(self._preset, task, noise), noise)

    def check_model(self, task: str, prior: Prior | None) -> None:
        """Refuse a solver that does not work with a model; None stands for the default models, which work with all.

        Raises:
            InputError: the solver needs a proximal operator, and the model is none.
        """
        if prior is None:
            return
        solver = self._preset(task, ANY_NOISE, 1.0).of(prior).solver
        if solver.needs_prox and not prior.is_prox:
            from gradprox.solvers.presets import EXPLICIT

            raise InputError(
                f"--solver {self.solver}: needs a proximal operator, which {prior.name} is not: use --solver "
                f"{' or '.join(EXPLICIT)}, or another --model"
            )

    def _preset(self, task: str, noise: float, strength: float) -> Preset:
        from gradprox.solvers.presets import preset

        return preset(task, noise, **self.settings, strength=strength)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of `gradprox.solvers.preset` but the strength."""
        return {"solver": self.solver, "max_iter": self.steps, "tol": self.tol}


@dataclass(frozen=True)
class DeblurringTuning(Tuning):
    """The settings of a solver that deblurs.

    Attributes:
        mixed_precision: compute the warm start in bfloat16 where that is faster; None where the model tolerates it.
    """

    mixed_precision: options.MixedPrecision = None

    @property
    def settings(self) -> dict[str, Any]:
        """See `Tuning.settings`."""
        return super().settings | {"mixed_precision": self.mixed_precision is not False}

    def check_model(self, task: str, prior: Prior | None) -> None:
        """See `Tuning.check_model`.

        Raises:
            InputError: the solver does not work with the model, or the model needs single precision.
        """
        super().check_model(task, prior)
        if self.mixed_precision and not getattr(prior, "tolerates_bfloat16", prior is None):
            raise InputError(
                "--mixed-precision: is for gray-deep and color-deep: leave it out, or name one of them"
            )
