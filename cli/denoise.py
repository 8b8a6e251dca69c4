"""``gradprox denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.jobs import Record, Work, check_absent, collect_inputs, plan_outputs, run_batch, save
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.solvers import Callback


@dataclass(frozen=True)
class Denoising:
    """One pass of the learned prox over each image.

    Attributes:
        noise: standard deviation on the scale of the image; estimated from each image if None.
        model: which, and what runs it.
        charts: where to draw how uncertain each pixel is, by image; empty for nowhere.
    """

    noise: float | None = None
    model: options.ModelChoice = field(default_factory=options.ModelChoice)
    charts: Mapping[Path, Path] = field(default_factory=dict)
    steps = 1

    def open(self) -> Work:
        """Load the model; see `gradprox.cli.jobs.Job`."""
        import torch

        from gradprox.images import ImageData, check_scale, read_image, write_image
        from gradprox.priors import posterior_deviation

        if self.charts and self.model.provider is not None:
            raise InputError(
                "--uncertainty: needs derivatives, which ONNX Runtime has not: leave --provider out"
            )
        priors = options.Priors(self.model, for_solver=False)

        @torch.no_grad()
        def work(source: Path, target: Path, _: Callback) -> Record:
            image = read_image(source)
            check_scale(image.pixels, source)
            level, estimated = options.level_of(image.pixels, self.noise)
            prior, noisy = priors.of(image.pixels.shape[1]), image.pixels.to(priors.device)
            record, chart = Record(estimated), self.charts.get(source)
            if chart is not None:
                sure = posterior_deviation(prior, noisy, level, halo=prior.network.radius)
                # White is as uncertain as the noisy pixel itself.
                write_image(chart, ImageData((sure.deviation / level).cpu()))
                record |= {
                    "uncertainty": str(chart),
                    "mean_deviation": float(sure.deviation.mean()),
                    "mean_deviation_error": float(sure.error.mean()),
                }
            return record | save(target, image.with_pixels(prior(noisy, level).cpu()))

        return work


def denoise(
    images: options.Images,
    output: options.Output,
    noise: options.EstimatedNoise = None,
    model: options.Model = None,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            help="Draw the posterior standard deviation of each pixel too, as a share of that of the noise, which is "
            "white: a file, or a folder. Takes some 50 times as long.",
            show_default=False,
        ),
    ] = None,
    workers: options.Workers = 1,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Remove Gaussian noise: one pass of the learned prox.

    Examples: gradprox denoise noisy.png --noise 25/255 -o clean.png;
    gradprox denoise shots --workers 2 -o clean;
    gradprox denoise noisy.png -o clean.png --uncertainty uncertain.png
    """
    from gradprox.images import IMAGE_SUFFIXES

    level = options.parse_given_level(noise)
    charts: dict[Path, Path] = {}
    if uncertainty is not None:
        if level == 0:
            raise InputError("--uncertainty: without noise there is none; give the --noise of the image")
        if uncertainty.suffix and len(images) > 1:
            raise InputError(f"{uncertainty}: several images need a folder, not one file")
        charts = dict(plan_outputs(collect_inputs(images, IMAGE_SUFFIXES), uncertainty))
        for chart in charts.values():
            check_absent(chart, overwrite or resume)

    run_batch(
        Denoising(level, options.ModelChoice(model, device, provider, allow_fallback), charts),
        images,
        output,
        read=IMAGE_SUFFIXES,
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        quiet=quiet,
        report=json,
    )
