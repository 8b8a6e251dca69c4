"""The settings of the presets in exported files, and how a command runs one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.jobs import Record

if TYPE_CHECKING:
    from gradprox.export.runtime import OnnxSolver, Restoration


@dataclass(frozen=True)
class Tuning:
    """The settings of the preset in an exported file.

    Attributes:
        strength: multiplier of the preset's regularization.
        steps: step budget after the warm start; that of the preset if None.
        tol: tolerance on the relative change; that of the preset if None.
    """

    strength: Annotated[
        float,
        typer.Option(
            metavar="FACTOR",
            help="Strength of the regularization: above 1 gives a smoother image, below 1 keeps more detail and noise.",
            rich_help_panel=options.SOLVER,
        ),
    ] = 1.0
    steps: options.Steps = None
    tol: options.Tol = None

    def run(self, solver: OnnxSolver, *measured: Any, noise: float, clipping: bool = False) -> Restoration:
        """Run a solver on what it takes: a photo and its kernel, or measurements.

        `gradprox.export.runtime.OnnxSolver` describes the arguments.

        Raises:
            InputError: a setting or an argument is unusable.
        """
        return solver(
            *measured,
            noise=noise,
            strength=self.strength,
            max_iter=self.steps,
            tol=self.tol,
            clipping=clipping,
        )


def outcome(result: Restoration) -> Record:
    """Return a solver's record of one image, for a report, as `gradprox.cli.restoration.outcome` does."""
    import numpy as np

    steps = int(result.steps[0])
    return {
        "steps": steps,
        "warm_start_steps": steps - int(np.isfinite(result.residual[0]).sum()),
        "status": result.status[0],
    }
