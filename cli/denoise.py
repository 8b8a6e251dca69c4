"""``gradprox denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.batch import Record, Work, check_absent, run_batch
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.solvers import Callback


@dataclass(frozen=True)
class Denoising:
    """One pass of the learned prox over each picture.

    Attributes:
        noise: standard deviation on the scale of the picture; estimated from each picture if None.
        model: as of ``--model``.
        device: as of ``--device``.
        provider: of ONNX Runtime, which then runs the ``.onnx`` model; torch does if None.
        uncertainty: where to draw how uncertain each pixel is: a file, or a folder for names like the outputs'.
    """

    noise: float | None = None
    model: str | None = None
    device: str = "auto"
    provider: str | None = None
    uncertainty: Path | None = None
    steps = 1

    def open(self) -> Work:
        """Load the model; see `gradprox.cli.batch.Job`."""
        if self.provider is not None:
            return self._open_in_runtime()

        import torch

        from gradprox.images import Picture, read_picture, write_picture
        from gradprox.operators import posterior_deviation

        priors = options.Priors(self.model, self.device)

        @torch.no_grad()
        def work(source: Path, target: Path, _: Callback) -> Record:
            picture = read_picture(source)
            level, estimated = options.level_of(picture.pixels, self.noise)
            record: Record = {**estimated}
            prior, noisy = priors.of(picture.pixels.shape[1]), picture.pixels.to(priors.device)
            if self.uncertainty is not None:
                sure = posterior_deviation(prior, noisy, level, halo=prior.network.radius)
                chart = self.uncertainty if self.uncertainty.suffix else self.uncertainty / target.name
                # White is as uncertain as the noisy pixel itself.
                write_picture(chart, Picture((sure.deviation / level).cpu()))
                record |= {
                    "uncertainty": str(chart),
                    "mean_deviation": float(sure.deviation.mean()),
                    "mean_deviation_error": float(sure.error.mean()),
                }
            write_picture(target, picture.with_pixels(prior(noisy, level).cpu()))
            return record

        return work

    def _open_in_runtime(self) -> Work:
        import torch

        from gradprox.export.runtime import OnnxDenoiser
        from gradprox.images import read_picture, write_picture

        if self.model is None or Path(self.model).suffix.lower() != ".onnx":
            raise InputError(
                "--provider: runs .onnx models: write one with `gradprox export`, name it by --model"
            )
        if self.uncertainty is not None:
            raise InputError(
                "--uncertainty: needs derivatives, which ONNX Runtime has not: leave --provider out"
            )
        runtime = OnnxDenoiser(self.model, self.provider or "cpu", threads=torch.get_num_threads())

        def work(source: Path, target: Path, _: Callback) -> Record:
            picture = read_picture(source)
            level, estimated = options.level_of(picture.pixels, self.noise)
            restored = torch.from_numpy(runtime(picture.pixels.numpy(), level))
            write_picture(target, picture.with_pixels(restored))
            return {**estimated}

        return work


def denoise(
    images: options.Images,
    output: options.Output,
    noise: options.EstimatedNoise = None,
    model: options.Model = None,
    device: options.Device = "auto",
    provider: Annotated[
        str | None,
        typer.Option(
            help="Run an .onnx model in ONNX Runtime by this provider: cpu, cuda, tensorrt, openvino, coreml or "
            "directml. Torch runs the network it was made from otherwise.",
            show_default=False,
        ),
    ] = None,
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
    level = options.parse_given_level(noise)
    if uncertainty is not None:
        _check_chart(uncertainty, images, overwrite or resume)
        if level == 0:
            raise InputError("--uncertainty: without noise there is none; give the --noise of the picture")
    job = Denoising(level, model, device, provider, uncertainty)

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


def _check_chart(chart: Path, images: Sequence[Path], replace: bool) -> None:
    """Refuse a chart that could not be written.

    Raises:
        InputError: one file for several pictures, one that exists already, or no known format.
    """
    from gradprox.images import check_picture_suffix

    if chart.suffix:
        if len(images) > 1 or not images[0].is_file():
            raise InputError(f"{chart}: several pictures need a folder, not one file")
        check_picture_suffix(chart)
        check_absent(chart, replace)
