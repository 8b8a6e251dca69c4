"""``gradprox-runtime recover``: reconstruct images from compressed measurements."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record, Work, run_batch, save
from gradprox.cli.meter import Watch
from gradprox.cli.option_values import UsageError
from gradprox.cli.runtime.models import ModelChoice, Models, model_file
from gradprox.cli.runtime.tuning import Tuning, outcome
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.export.runtime import OnnxSolver
    from gradprox.measurements import Measurements

NO_MODEL = (
    "--model is missing: a file is for one size and one sampling, so none is shipped; write one with `gradprox export "
    "MODEL FILE.onnx --problem cs --size HxW` and the options of `gradprox sense`"
)


@dataclass(frozen=True)
class RecoveryModel(ModelChoice):
    """The options that name a solver; none is shipped."""

    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The .onnx file that `gradprox export --problem cs` wrote for these measurements, required.",
            show_default=False,
            rich_help_panel=options.MODEL,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Recovering:
    """A job (`gradprox.cli.jobs.Job`) that reconstructs the image of each file of measurements.

    Attributes:
        tuning: the settings of the preset.
        model: the exported solver, and where it runs.
    """

    tuning: Tuning = field(default_factory=Tuning)
    model: ModelChoice = field(default_factory=ModelChoice)
    steps = 1
    costs = None

    def describe(self) -> dict[str, Any]:
        """Return the task, the model and the settings, for a report."""
        settings = dataclasses.asdict(self.tuning) | {"provider": self.model.provider}
        return {"task": "recover", "model": self.model.model, "settings": settings}

    def open(self, threads: int | None = None) -> Work:
        """Load the solver, and return the function that works on one file.

        Raises:
            InputError: a setting is unusable.
        """
        from gradprox.images import ImageData
        from gradprox.measurements import read_measurement_file

        models = Models(self.model, "recover", partial(load_recovery, threads=threads))

        def work(source: Path, target: Path, _: Watch) -> Record:
            found = read_measurement_file(source)
            name, solver = models.of(len(found.y))
            check_fits(source, found, name, solver)
            result = self.tuning.run(solver, found.y[None], noise=found.sampling["noise"])
            record = {"sampling": found.sampling, "model": name, "solver": solver.algorithm}
            return record | outcome(result) | save(target, ImageData(result.x))

        return work


def load_recovery(path: Path, *, threads: int | None = None, **where: Any) -> OnnxSolver:
    """Load a file that recovers measurements.

    Raises:
        InputError: the file does something else, or cannot be used.
    """
    from gradprox.export.runtime import OnnxSolver

    solver = OnnxSolver(path, threads=threads, **where)
    if solver.problem != "cs":
        raise InputError(f"{path}: its solver is for deblurring, not for compressed sensing")
    if solver.sampling is None:
        raise InputError(f"{path}: does not say which measurements it recovers: export it again")
    return solver


def check_fits(source: Path, found: Measurements, name: str, solver: OnnxSolver) -> None:
    """Refuse measurements by other patterns than those of a solver.

    Raises:
        InputError: the patterns differ, or the file describes none.
    """
    from gradprox.measurements import PATTERNS, digest, unknown_sampling

    sampling, recovered = found.sampling, solver.sampling
    assert recovered is not None  # noqa: S101  `load_recovery` has checked
    if not isinstance(sampling, dict) or not {"noise", *PATTERNS} <= sampling.keys():
        raise InputError(unknown_sampling(source))
    measured, expected = ({key: stated[key] for key in PATTERNS} for stated in (sampling, recovered))
    if measured != expected:
        raise InputError(
            f"{source}: was measured by {in_words(measured)}, but {name} recovers {in_words(expected)}: export a file "
            "for these measurements"
        )
    if sampling["kind"] == "block-matrix" and (
        found.matrix is None or digest(found.matrix) != solver.matrix_digest
    ):
        raise InputError(f"{source}: was measured by another matrix than that of {name}")


def in_words(sampling: dict[str, Any]) -> str:
    """Describe a sampling."""
    size = "x".join(map(str, sampling["size"]))
    return (
        f"{sampling['measurements']} {sampling['kind']} patterns of seed {sampling['seed']} of {size} pixels"
    )


def recover(
    measurements: options.Measurements,
    output: options.Output,
    *,
    tuning: Tuning,
    model: RecoveryModel,
    batch: Batch,
) -> None:
    """Reconstruct images from compressed measurements.

    The solver is that of --model, a file that `gradprox export --problem cs` wrote for measurements of the same size,
    sampling, ratio and seed. It does what `gradprox recover` does with its model.

    Example:
      gradprox-runtime recover y.npz --model recover.onnx -o photo.png
    """
    if model.model is None:
        raise UsageError(NO_MODEL)
    model_file(model.model, "recover")  # refuses the name of a shipped model
    job = Recovering(tuning=tuning, model=model)
    run_batch(job, measurements, output, batch, read=(".npz",), write=".png")
