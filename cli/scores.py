"""Scoring a restoration on a folder: degrade each image with a seed, restore it, compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import typer

from gradprox.cli.groups import Report
from gradprox.cli.jobs import Record, failure
from gradprox.cli.meter import Meter
from gradprox.cli.paths import readable_suffixes
from gradprox.cli.restoration import outcome
from gradprox.cli.terminal import naming, progress_bar
from gradprox.errors import InputError

if TYPE_CHECKING:
    import torch
    from rich.table import Table
    from torch import Tensor

    from gradprox.solvers import Callback, Result


@dataclass(frozen=True)
class Restored:
    """One degraded and restored image; all ``(1, C, H, W)``, on one device.

    Attributes:
        reference: the clean image.
        degraded: the image before restoration, or the linear reconstruction of measurements.
        image: the restored image.
        result: the solver's record, if there was a solver.
    """

    reference: Tensor
    degraded: Tensor
    image: Tensor
    result: Result | None = None


# One way to degrade and restore. It takes a clean image and a source of noise, and returns the function that restores
# the degraded image; only the time of that function counts.
Trial = Callable[["Tensor", "torch.Generator", "Callback"], Callable[[], Restored]]

# SSIM mirrors images at their borders by half of its window of 11 pixels.
SMALLEST_SIDE = 6
COLUMNS = ("psnr_input", "psnr", "ssim", "seconds", "steps")


@dataclass(frozen=True)
class Study:
    """What is evaluated, and how.

    Attributes:
        task: name of the task, for the report.
        model: name of the model, for the report.
        settings: all settings, for the report.
        clip: clip restored images to ``[0, 1]`` before comparing.
        seed: with the position of an image and of a trial, it fixes the noise.
        steps: most steps of a restoration, for the progress bar.
    """

    task: str
    model: str
    settings: dict[str, Any]
    clip: bool
    seed: int
    steps: int


def score_folder(
    study: Study,
    data: Path,
    trials: dict[str, Trial],
    read: Callable[[Path], Tensor],
    device: torch.device,
    *,
    follow: Callable[[Callable[[float], None]], None],
    report: Report,
) -> None:
    """Run every trial on every image; print a table of figures and write them as JSON.

    An image that cannot be used is reported, and the others are scored. The means are those of the others.

    Args:
        study: what is evaluated, and how.
        data: folder of images.
        trials: by label; a label is added to the image's name when there are several.
        read: reads an image, in gray or in color.
        device: where to compute.
        follow: reports the passes of the model, see `gradprox.cli.model_choice.Priors.follow`.
        report: how to report.

    Raises:
        typer.Exit: with code 1, if an image could not be used.
    """
    from gradprox.images import check_scale

    records: list[dict[str, Any]] = []
    failures: dict[str, Record] = {}  # by message: an unreadable image fails in every trial
    with progress_bar(report.quiet) as bar:
        cases = list(_cases(data, trials, study.seed))
        overall = bar.add_task(study.task, total=len(cases), note="")
        for path, name, trial, generator in cases:
            meter = Meter(bar, name, study.steps, quiet=report.quiet)
            follow(meter.piece)
            try:
                with naming(path):
                    clean = read(path)
                    check_scale(clean, path)
                    restore = trial(clean.to(device), generator, meter)
                    began = time.perf_counter()
                    restored = restore()
                    seconds = time.perf_counter() - began
                    figures = _compare(restored, clip=study.clip)
            except InputError as error:
                if str(error) not in failures:
                    typer.echo(f"error: {error}", err=True)
                    failures[str(error)] = failure(path, str(error))
            else:
                record: Record = {"name": name, **figures, "seconds": seconds}
                record |= outcome(restored.result) if restored.result else {"steps": 1, "status": "one pass"}
                record.setdefault("objective_increases", 0)
                records.append(record)
                bar.update(overall, note=f"mean {fmean(r['psnr'] for r in records):.2f} dB")
            meter.close()
            bar.advance(overall)
    if records:
        mean = {column: fmean(record[column] for record in records) for column in COLUMNS}
        report.print(_table(f"{study.task}, model {study.model}", records, mean))
        content: Record = {"task": study.task, "model": study.model, "settings": study.settings}
        content |= {"mean": mean, "images": records}
        report.write(content | ({"errors": [*failures.values()]} if failures else {}))
    if failures:
        raise typer.Exit(1)


def _cases(
    data: Path, trials: dict[str, Trial], seed: int
) -> Iterator[tuple[Path, str, Trial, torch.Generator]]:
    import numpy as np
    import torch

    from gradprox.images import images_in

    for position, path in enumerate(images_in(data, readable_suffixes())):
        for number, (label, trial) in enumerate(trials.items()):
            (state,) = np.random.SeedSequence([seed, position, number]).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
            yield path, (f"{path.name} {label}" if len(trials) > 1 else path.name), trial, generator


def _compare(restored: Restored, *, clip: bool) -> dict[str, float]:
    """Return PSNR and SSIM of an image.

    Raises:
        InputError: the image is too small for SSIM.
    """
    from deepinv.loss.metric import PSNR, SSIM

    height, width = restored.reference.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"{width}x{height} pixels are too few for SSIM, which needs {SMALLEST_SIDE} a side: leave this image out"
        )
    psnr, ssim = PSNR(), SSIM()
    image = restored.image.clamp(0, 1) if clip else restored.image
    return {
        "psnr_input": float(psnr(restored.degraded, restored.reference)),
        "psnr": float(psnr(image, restored.reference)),
        "ssim": float(ssim(image, restored.reference)),
    }


def _table(title: str, records: Sequence[dict[str, Any]], mean: dict[str, float]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_footer=True)
    table.add_column("image", footer="mean")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), footer=_figure(column, mean[column]), justify="right")
    table.add_column("status")
    table.add_column("rises", footer=str(sum(r["objective_increases"] for r in records)), justify="right")
    for record in records:
        figures = (_figure(column, record[column]) for column in COLUMNS)
        table.add_row(record["name"], *figures, record["status"], str(record["objective_increases"]))
    return table


def _figure(column: str, value: float) -> str:
    digits = {"ssim": 4, "steps": 0}.get(column, 2)
    return f"{value:.{digits}f}"
