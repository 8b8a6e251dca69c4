"""``gradprox recover``: the image behind compressed measurements."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.jobs import Record, Work, outcome, run_batch, save

if TYPE_CHECKING:
    from gradprox.solvers import Callback
    from gradprox.solvers.discrepancy import DiscrepancyPreset
    from gradprox.solvers.presets import Preset


@dataclass(frozen=True)
class Recovering:
    """Reconstruction from what `gradprox sense` wrote.

    Attributes:
        tuning: of the solver.
        model: which, and what runs it.
    """

    tuning: options.Tuning = field(default_factory=options.Tuning)
    model: options.ModelChoice = field(default_factory=options.ModelChoice)

    @property
    def steps(self) -> int:
        """The step budget; see `gradprox.cli.jobs.Job`."""
        return self.algorithm(0.0).max_iter

    def algorithm(self, noise: float) -> Preset | DiscrepancyPreset:
        """Return the solver for measurements with that noise; see `gradprox.cli.options.Tuning`."""
        from gradprox.solvers.presets import Task

        return self.tuning.preset(Task.COMPRESSED_SENSING, noise)

    def open(self) -> Work:
        """Load the model; see `gradprox.cli.jobs.Job`."""
        from gradprox.images import ImageData, check_scale
        from gradprox.physics import initial_image, read_measurements

        self.algorithm(0.0)
        priors = options.Priors(self.model)

        def work(source: Path, target: Path, show: Callback) -> Record:
            y, sensing = read_measurements(source)
            y, physics = y.to(priors.device), sensing.physics().to(priors.device)
            check_scale(initial_image(y, physics), source)
            algorithm = self.algorithm(sensing.sampling.noise)
            result = algorithm(y, physics, priors.of(y.shape[1]), callback=show)
            return outcome(result) | save(target, ImageData(result.x.cpu()))

        return work


def recover(
    measurements: Annotated[
        list[Path],
        typer.Argument(
            help="What gradprox sense wrote: .npz files, folders of them, patterns.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The image to write, or folder for several (as .png).",
            show_default=False,
        ),
    ],
    solver: options.Solver = None,
    strength: options.Strength = "1",
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = None,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    workers: options.Workers = 1,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Reconstruct images from compressed measurements.

    Example: gradprox recover y.npz -o photo.png
    """
    tuning = options.Tuning(solver, options.parse_strength(strength), steps, tol)
    run_batch(
        Recovering(tuning, options.ModelChoice(model, device, provider, allow_fallback)),
        measurements,
        output,
        read=(".npz",),
        write=".png",
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        quiet=quiet,
        report=json,
    )
