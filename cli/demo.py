"""``gradprox demo``: deblurring and compressed sensing of a photo that comes with the package."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import option_values
from gradprox.cli.groups import Report
from gradprox.cli.meter import Meter
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.restoration import outcome
from gradprox.cli.terminal import progress_bar

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from rich.table import Table
    from torch import Tensor

    from gradprox.priors import LearnedProx
    from gradprox.solvers import Callback, Result

KERNEL = "motion:9:30"
NOISE = 2.55 / 255
RATIO = 0.25
SEED = 0
# Of the runs whose objective is plotted: enough to see how fast it falls.
PLOTTED_STEPS = 40


@dataclass(frozen=True)
class Case:
    """A degraded image and its restoration, ``(1, C, H, W)``.

    Attributes:
        name: its title.
        before_label: the title of the degraded image.
        clean: the original.
        before: the degraded image, or the linear reconstruction of measurements.
        after: the restored image.
        result: the record of the restoration.
        descent: the record of a longer run of its last solver without a warm start, from ``before``.
    """

    name: str
    before_label: str
    clean: Tensor
    before: Tensor
    after: Tensor
    result: Result
    descent: Result


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the images.")] = Path(
        "gradprox-demo"
    ),
    *,
    model: ModelChoice,
    report: Report,
) -> None:
    """Show deblurring and compressed sensing on a sample photo, in about a minute.

    The photo is part of gradprox, so nothing is downloaded. First the photo is blurred and deblurred. Then it is
    measured by compressed sensing, with a quarter as many measurements as pixels, and reconstructed. The command
    writes the images before and after, and a plot of each solver's exact objective, which never rises.

    Example:
      gradprox demo --out gradprox-demo
    """
    import torch

    from gradprox.images import ImageData, example_image, write_image
    from gradprox.solvers import Status

    option_values.check_folder("--out", out)
    priors = Priors(model)
    generator = torch.Generator().manual_seed(SEED)
    in_color = priors.channels == 3
    cases = []
    with progress_bar(report.quiet) as bar:
        for name, run, image in (
            ("deblurring", _deblurring, example_image()),
            # In gray, which takes a third of the time, unless the model is for color.
            ("compressed sensing", _compressed_sensing, example_image(gray=not in_color)),
        ):
            meter = Meter(bar, name, steps=None, quiet=report.quiet)
            prior = priors.of(image.shape[1])
            cases.append(run(image.to(priors.device), prior, generator, meter))
            meter.close()

    for case in cases:
        stem = case.name.replace(" ", "-")
        write_image(out / f"{stem}-before.png", ImageData(case.before))
        write_image(out / f"{stem}-after.png", ImageData(case.after))
    _plot_images(out / "images.png", cases)
    _plot_objectives(out / "objective.png", cases)
    records = [_figures(case) for case in cases]
    report.print(_table(records))
    for status in dict.fromkeys(Status(record["status"]) for record in records):
        report.print(f"{status.value}: {status.advice}")
    report.print(f"images and objective plot: {out}/", markup=False)
    report.write({"model": model.model, "cases": records})


def _deblurring(clean: Tensor, prior: LearnedProx, generator: torch.Generator, show: Callback) -> Case:
    from gradprox.physics import ValidBlur, gaussian_noise, read_kernel
    from gradprox.solvers.deblurring import deblur_images
    from gradprox.solvers.presets import Task, preset

    kernel = read_kernel(KERNEL).to(clean.device)
    camera = ValidBlur(kernel, (clean.shape[-2], clean.shape[-1]))
    photo = camera.A(clean)
    photo = photo + gaussian_noise(photo, NOISE, generator)
    chosen = preset(Task.DEBLUR, NOISE).of(prior)
    restored, result = deblur_images(photo, kernel, prior, chosen, callback=show)
    longer = dataclasses.replace(chosen.solver, max_iter=PLOTTED_STEPS, tol=0.0)
    _, descent = deblur_images(photo, kernel, prior, longer, callback=show)
    return Case("deblurring", "blurred", camera.visible(clean), photo, restored, result, descent)


def _compressed_sensing(clean: Tensor, prior: LearnedProx, _: torch.Generator, show: Callback) -> Case:
    from gradprox.physics import Sensing, initial_image
    from gradprox.solvers.presets import Task, preset

    size, channels = (clean.shape[-2], clean.shape[-1]), clean.shape[1]
    sensing = Sensing.described("block-gaussian", RATIO, size, channels, SEED, 0.0)
    physics = sensing.physics().to(clean.device)
    y = physics.A(clean)
    chosen = preset(Task.COMPRESSED_SENSING, 0.0).of(prior)
    result = chosen(y, physics, prior, callback=show)
    longer = dataclasses.replace(chosen.solver, max_iter=PLOTTED_STEPS, tol=0.0)
    descent = longer(y, physics, prior, callback=show)
    before = initial_image(y, physics)
    return Case("compressed sensing", "linear", clean, before, result.x, result, descent)


def _figures(case: Case) -> dict[str, Any]:
    from deepinv.loss.metric import PSNR

    psnr = PSNR()
    return {
        "name": case.name,
        "psnr_before": float(psnr(case.before, case.clean)),
        "psnr_after": float(psnr(case.after, case.clean)),
        **outcome(case.result),
    }


def _table(records: Sequence[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table()
    for heading in ("case", "PSNR before", "PSNR after", "steps", "status", "rises"):
        text = heading in ("case", "status")
        table.add_column(heading, justify="left" if text else "right", no_wrap=True)
    for record in records:
        table.add_row(
            record["name"],
            f"{record['psnr_before']:.2f} dB",
            f"{record['psnr_after']:.2f} dB",
            str(record["steps"]),
            record["status"].replace("_", " "),
            str(record["objective_increases"]),
        )
    return table


def _plot_images(path: Path, cases: Sequence[Case]) -> None:
    """Show the degraded, the restored and the original image, one row per case."""
    columns = ("before", "after", "clean")
    figure, axes = _figure(len(cases), len(columns), size=(9.6, 3.4 * len(cases)))
    for row, case in zip(axes, cases, strict=True):
        for place, column in zip(row, columns, strict=True):
            pixels = getattr(case, column)[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
            place.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=1)
            place.set_axis_off()
        for place, title in zip(row, (case.before_label, case.name, "original"), strict=True):
            place.set_title(title)
    _save(figure, path)


def _plot_objectives(path: Path, cases: Sequence[Case]) -> None:
    """Plot by step how far the exact objective is above its last value, which is its smallest."""
    figure, axes = _figure(1, len(cases), size=(4.8 * len(cases), 3.4))
    for place, case in zip(axes[0], cases, strict=True):
        objective = case.descent.objective[0].cpu().numpy()
        place.semilogy(range(len(objective) - 1), objective[:-1] - objective[-1])
        rises = int(case.descent.objective_increases[0])
        place.set_title(f"{case.name}: {rises} rises in {PLOTTED_STEPS} steps")
        place.set_xlabel("step")
        place.set_ylabel(f"objective above that of step {PLOTTED_STEPS}")
        place.grid(alpha=0.3)
    _save(figure, path)


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    # Not pyplot, which looks for a window system and keeps global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Figure, path: Path) -> None:
    from gradprox.files import written_whole

    buffer = (
        io.BytesIO()
    )  # matplotlib's own writer may drop the end of a file on a full disk, without an error
    figure.savefig(buffer, dpi=100)
    with written_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
