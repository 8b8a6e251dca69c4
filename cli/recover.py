"""``gradprox recover``: reconstruct images from compressed measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli.groups import Batch, Tuning
from gradprox.cli.jobs import Record, outcome, run_batch
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.restoration import Restoration, Restore

if TYPE_CHECKING:
    from gradprox.images import ImageData
    from gradprox.solvers import Callback


@dataclass(frozen=True, kw_only=True)
class Recovering(Restoration):
    """Reconstruction from the files that `gradprox sense` writes."""

    task = "cs"

    def restorer(self, priors: Priors) -> Restore:
        """Return the function that reads one file of measurements and reconstructs its image."""
        from gradprox.images import ImageData, check_scale
        from gradprox.physics import initial_image, read_measurements

        def restore(source: Path, show: Callback) -> tuple[ImageData, Record]:
            y, sensing = read_measurements(source)
            physics, y = sensing.physics().to(priors.device), y.to(priors.device)
            # Measurements have scales of their own; those of their linear reconstruction are the image's.
            check_scale(initial_image(y, physics), source)
            preset = self.preset(sensing.sampling.noise)
            result = preset(y, physics, priors.of(y.shape[1]), callback=show)
            return ImageData(result.x.cpu()), outcome(result)

        return restore


def recover(
    measurements: Annotated[
        list[Path],
        typer.Argument(
            help="Files that `gradprox sense` wrote (.npz), folders of them, or patterns in quotes.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The image to write. For several, or with a slash at its end, a folder of .png images.",
            show_default=False,
        ),
    ],
    *,
    tuning: Tuning,
    model: ModelChoice,
    batch: Batch,
) -> None:
    """Reconstruct images from compressed measurements.

    The file of measurements also says how they were made, so only its name is needed.

    Example:
      gradprox recover y.npz -o photo.png
    """
    run_batch(
        Recovering(tuning=tuning, model=model), measurements, output, batch, read=(".npz",), write=".png"
    )
