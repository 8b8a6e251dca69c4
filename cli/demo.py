"""``gradprox demo``: the main job on an image that comes with the package."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.jobs import outcome
from gradprox.cli.terminal import console, follow, progress_bar
from gradprox.files import write_json

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from torch import Tensor

    from gradprox.priors import LearnedProx
    from gradprox.solvers import Callback, Result

KERNEL = "motion:9:30"
NOISE = 2.55 / 255
RATIO = 0.25
SEED = 0


@dataclass(frozen=True)
class Case:
    """A degraded image and its restoration, ``(1, C, H, W)``."""

    name: str
    before_label: str
    clean: Tensor
    before: Tensor
    after: Tensor
    result: Result


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the images.")] = Path("gradprox-demo"),
    model: options.Model = None,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Deblur a photo and recover it from a quarter of the measurements.

    Works on an image that comes with gradprox and needs no network.
    Writes before/after images and a plot of the objective, which never goes up.

    Example: gradprox demo --out gradprox-demo
    """
    import torch

    from gradprox.images import ImageData, example_image, write_image

    priors = options.Priors(options.ModelChoice(model, device, provider, allow_fallback))
    generator = torch.Generator().manual_seed(SEED)
    cases = []
    with progress_bar(quiet) as bar:
        for name, run, image in (
            ("deblurring", _deblurring, example_image()),
            ("compressed sensing", _compressed_sensing, example_image(gray=True)),
        ):
            task = bar.add_task(name, total=None, note="")
            prior = priors.of(image.shape[1])
            cases.append(run(image.to(priors.device), prior, generator, follow(bar, task)))
            bar.remove_task(task)

    for case in cases:
        stem = case.name.replace(" ", "-")
        write_image(out / f"{stem}-before.png", ImageData(case.before))
        write_image(out / f"{stem}-after.png", ImageData(case.after))
    _plot_images(out / "images.png", cases)
    _plot_objectives(out / "objective.png", cases)
    records = [_figures(case) for case in cases]
    if not quiet:
        _print_table(records)
        console().print(f"images and objective plot: {out}/")
    if json:
        write_json(json, {"model": model, "cases": records})


def _deblurring(clean: Tensor, prior: LearnedProx, generator: torch.Generator, show: Callback) -> Case:
    from gradprox.physics import ValidBlur, gaussian_noise, read_kernel
    from gradprox.solvers.deblurring import deblur_images
    from gradprox.solvers.presets import Task, preset

    kernel = read_kernel(KERNEL).to(clean.device)
    camera = ValidBlur(kernel, (clean.shape[-2], clean.shape[-1]))
    photo = camera.A(clean)
    photo = photo + gaussian_noise(photo, NOISE, generator)
    restored, result = deblur_images(photo, kernel, prior, preset(Task.DEBLUR, NOISE), callback=show)
    return Case("deblurring", "blurred", camera.visible(clean), photo, restored, result)


def _compressed_sensing(clean: Tensor, prior: LearnedProx, _: torch.Generator, show: Callback) -> Case:
    from gradprox.physics import Sensing, initial_image
    from gradprox.solvers.presets import Task, preset

    size = (clean.shape[-2], clean.shape[-1])
    physics = Sensing.described("block-gaussian", RATIO, size, 1, SEED, 0.0).physics().to(clean.device)
    y = physics.A(clean)
    result = preset(Task.COMPRESSED_SENSING, 0.0)(y, physics, prior, callback=show)
    return Case("compressed sensing", "linear", clean, initial_image(y, physics), result.x, result)


def _figures(case: Case) -> dict[str, Any]:
    from deepinv.loss.metric import PSNR

    psnr = PSNR()
    return {
        "name": case.name,
        "psnr_before": float(psnr(case.before, case.clean)),
        "psnr_after": float(psnr(case.after, case.clean)),
        **outcome(case.result),
    }


def _print_table(records: Sequence[dict[str, Any]]) -> None:
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
            record["status"],
            str(record["objective_increases"]),
        )
    console().print(table)


def _plot_images(path: Path, cases: Sequence[Case]) -> None:
    """Show what was given, what came out and the truth, a row a case."""
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
    """Plot the exact objective above its last value, by step."""
    figure, axes = _figure(1, len(cases), size=(4.8 * len(cases), 3.4))
    for place, case in zip(axes[0], cases, strict=True):
        objective = case.result.objective[0].cpu().numpy()
        place.semilogy(objective[:-1] - objective[-1])
        place.set_title(f"{case.name}: {int(case.result.objective_increases[0])} increases")
        place.set_xlabel("step")
        place.set_ylabel("objective - last objective")
        place.grid(alpha=0.3)
    _save(figure, path)


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    # Without pyplot: no window system is looked for and no global state is kept.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Figure, path: Path) -> None:
    from gradprox.files import written_whole

    buffer = io.BytesIO()  # on a full disk the library's own writer can leave out the end without a word
    figure.savefig(buffer, dpi=100)
    with written_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
