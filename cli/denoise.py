"""``gradprox denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradprox.cli import options
from gradprox.cli.batch import Record, Work, run_batch

if TYPE_CHECKING:
    from gradprox.solvers import Callback


@dataclass(frozen=True)
class Denoising:
    """One pass of the learned prox over each picture.

    Attributes:
        noise: standard deviation on the scale of the picture; estimated from each picture if None.
        model: as of ``--model``.
        device: as of ``--device``.
    """

    noise: float | None = None
    model: str | None = None
    device: str = "auto"
    steps = 1

    def open(self) -> Work:
        """Load the model; see `gradprox.cli.batch.Job`."""
        priors = options.Priors(self.model, self.device)

        import torch

        from gradprox.images import read_picture, write_picture

        @torch.no_grad()
        def work(source: Path, target: Path, _: Callback) -> Record:
            picture = read_picture(source)
            level, record = options.level_of(picture.pixels, self.noise)
            prior = priors.of(picture.pixels.shape[1])
            write_picture(target, picture.with_pixels(prior(picture.pixels.to(priors.device), level).cpu()))
            return record

        return work


def denoise(
    images: options.Images,
    output: options.Output,
    noise: options.EstimatedNoise = None,
    model: options.Model = None,
    device: options.Device = "auto",
    workers: options.Workers = 1,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Remove Gaussian noise: one pass of the learned prox.

    Examples: gradprox denoise noisy.png --noise 25/255 -o clean.png;
    gradprox denoise shots --workers 2 -o clean
    """
    job = Denoising(options.parse_given_level(noise), model, device)

    from gradprox.images import PICTURE_SUFFIXES

    run_batch(
        job,
        images,
        output,
        read=PICTURE_SUFFIXES,
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        quiet=quiet,
        report=json,
    )
