"""``gradprox denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.batch import Record, Work, check_absent, collect_inputs, plan_outputs, run_batch
from gradprox.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from gradprox.solvers import Callback

    # From pixels, noise level and the chart to draw, if any, to the restored pixels and what there is to report.
    Restore = Callable[[Tensor, float, Path | None], tuple[Tensor, Record]]


@dataclass(frozen=True)
class Denoising:
    """One pass of the learned prox over each picture.

    Attributes:
        noise: standard deviation on the scale of the picture; estimated from each picture if None.
        model: as of ``--model``.
        device: as of ``--device``.
        provider: of ONNX Runtime, which then runs the ``.onnx`` model; torch does if None.
        charts: where to draw how uncertain each pixel is, by picture; empty for nowhere.
    """

    noise: float | None = None
    model: str | None = None
    device: str = "auto"
    provider: str | None = None
    charts: Mapping[Path, Path] = field(default_factory=dict)
    steps = 1

    def open(self) -> Work:
        """Load the model; see `gradprox.cli.batch.Job`."""
        from gradprox.images import read_picture, write_picture

        restore = self._in_torch() if self.provider is None else self._in_runtime(self.provider)

        def work(source: Path, target: Path, _: Callback) -> Record:
            picture = read_picture(source)
            level, estimated = options.level_of(picture.pixels, self.noise)
            restored, record = restore(picture.pixels, level, self.charts.get(source))
            write_picture(target, picture.with_pixels(restored))
            return estimated | record

        return work

    def _in_torch(self) -> Restore:
        import torch

        from gradprox.images import Picture, write_picture
        from gradprox.operators import posterior_deviation

        priors = options.Priors(self.model, self.device)

        @torch.no_grad()
        def restore(pixels: Tensor, level: float, chart: Path | None) -> tuple[Tensor, Record]:
            prior, noisy, record = priors.of(pixels.shape[1]), pixels.to(priors.device), Record()
            if chart is not None:
                sure = posterior_deviation(prior, noisy, level, halo=prior.network.radius)
                # White is as uncertain as the noisy pixel itself.
                write_picture(chart, Picture((sure.deviation / level).cpu()))
                record = {
                    "uncertainty": str(chart),
                    "mean_deviation": float(sure.deviation.mean()),
                    "mean_deviation_error": float(sure.error.mean()),
                }
            return prior(noisy, level).cpu(), record

        return restore

    def _in_runtime(self, provider: str) -> Restore:
        import torch

        from gradprox.export.runtime import OnnxDenoiser

        if self.model is None or Path(self.model).suffix.lower() != ".onnx":
            raise InputError(
                "--provider: runs .onnx models: write one with `gradprox export`, name it by --model"
            )
        if self.charts:
            raise InputError(
                "--uncertainty: needs derivatives, which ONNX Runtime has not: leave --provider out"
            )
        runtime = OnnxDenoiser(self.model, provider, threads=torch.get_num_threads())

        def restore(pixels: Tensor, level: float, _: Path | None) -> tuple[Tensor, Record]:
            return torch.from_numpy(runtime(pixels.numpy(), level)), {}

        return restore


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
    from gradprox.images import PICTURE_SUFFIXES

    level = options.parse_given_level(noise)
    charts: dict[Path, Path] = {}
    if uncertainty is not None:
        if level == 0:
            raise InputError("--uncertainty: without noise there is none; give the --noise of the picture")
        if uncertainty.suffix and len(images) > 1:
            raise InputError(f"{uncertainty}: several pictures need a folder, not one file")
        charts = dict(plan_outputs(collect_inputs(images, PICTURE_SUFFIXES), uncertainty))
        for chart in charts.values():
            check_absent(chart, overwrite or resume)

    run_batch(
        Denoising(level, model, device, provider, charts),
        images,
        output,
        read=PICTURE_SUFFIXES,
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        quiet=quiet,
        report=json,
    )
