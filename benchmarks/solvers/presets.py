"""Compare the preset of every task with one solver with settings of its own.

    python benchmarks/solvers/presets.py --data FOLDER --color FOLDER --crop 128 --count 3 --json presets.json

Each problem is an image, its measurements with noise 2.55/255, and three restorations: by ``HQS(sigma=0.023,
lambda_reg=0.1)`` with at most 200 steps, by the preset of the task, and by the preset of another task. Demosaicing
needs images in color, and is left out without ``--color``.

An interrupted run continues if its JSON file exists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

import deepinv
import torch
import typer
from deepinv.loss.metric import PSNR
from deepinv.physics import LinearPhysics
from middle import middle
from torch import Tensor

from gradprox import load_model
from gradprox.files import write_json
from gradprox.images import images_in, read_color, read_gray
from gradprox.physics import (
    CircularBlur,
    Denoising,
    HadamardSensing,
    Inpainting,
    SingleCoilMRI,
    SuperResolution,
    gaussian_noise,
    initial_image,
    motion_kernel,
)
from gradprox.priors import Prior
from gradprox.solvers import HQS, Task, preset

NOISE = 2.55 / 255
SOLVER = HQS(sigma=0.023, lambda_reg=0.1)
KNOWN, LOW = 0.3, 12  # share of the pixels of inpainting; one of so many columns of MRI is a low frequency


@dataclass(frozen=True)
class Problem:
    """A problem of the comparison.

    Attributes:
        task: the task, whose preset is measured.
        other: the task whose preset is compared.
        physics: returns the operator for images of a height and a width.
        color: whether its images are in color.
        imaginary: whether its images have an imaginary part, here 0.
    """

    task: Task
    other: Task
    physics: Callable[[int, int], LinearPhysics]
    color: bool = False
    imaginary: bool = False


def known_pixels(height: int, width: int) -> Tensor:
    """Return a mask of pixels that are known at random, ``(1, 1, H, W)``."""
    return (torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0)) < KNOWN).float()


def measured_columns(height: int, width: int) -> Tensor:
    """Return a mask ``(H, W)``: a fifth of the columns, at random, and the lowest frequencies."""
    columns = torch.rand(width, generator=torch.Generator().manual_seed(0)) < 0.2
    columns[width // 2 - width // (2 * LOW) : width // 2 + width // (2 * LOW)] = True
    return columns.float().expand(height, width)


PROBLEMS = {
    "deblur, motion blur": Problem(
        Task.DEBLUR, Task.COMPRESSED_SENSING, lambda h, w: CircularBlur(motion_kernel(9, 30), (h, w))
    ),
    "cs, a quarter of the Hadamard coefficients": Problem(
        Task.COMPRESSED_SENSING, Task.DEBLUR, lambda h, w: HadamardSensing((h, w), h * w // 4)
    ),
    "denoise": Problem(Task.DENOISE, Task.DEBLUR, lambda _, __: Denoising()),
    "demosaic": Problem(
        Task.DEMOSAIC, Task.DEBLUR, lambda h, w: deepinv.physics.Demosaicing((3, h, w)), color=True
    ),
    "super-resolution, factor 2": Problem(
        Task.SUPER_RESOLUTION, Task.DEBLUR, lambda h, w: SuperResolution((h, w), 2)
    ),
    "super-resolution, factor 4": Problem(
        Task.SUPER_RESOLUTION, Task.DEBLUR, lambda h, w: SuperResolution((h, w), 4)
    ),
    "inpaint, 30 % of the pixels": Problem(
        Task.INPAINT, Task.DEBLUR, lambda h, w: Inpainting(known_pixels(h, w))
    ),
    "mri, a fifth of the columns": Problem(
        Task.MRI,
        Task.DEBLUR,
        lambda h, w: SingleCoilMRI(measured_columns(h, w)),
        imaginary=True,
    ),
}


def measure(problem: Problem, clean: Tensor, prior: Prior, seed: int) -> dict[str, float]:
    """Restore one image in three ways; return the PSNR of the start and of each result, in dB."""
    physics = problem.physics(clean.shape[-2], clean.shape[-1])
    y = physics.A(torch.cat([clean, torch.zeros_like(clean)], dim=1) if problem.imaginary else clean)
    y = y + gaussian_noise(y, NOISE, torch.Generator().manual_seed(seed))
    found = {"start": initial_image(y, physics)}
    for name, restorer in (
        ("solver", SOLVER),
        ("preset", preset(problem.task, NOISE)),
        ("other", preset(problem.other, NOISE)),
    ):
        found[name] = restorer(y, physics, prior).x
    return {name: float(PSNR()(x[:, : clean.shape[1]], clean)) for name, x in found.items()}


def main(
    data: Annotated[Path, typer.Option(help="Folder of images, restored in gray.")],
    report: Annotated[Path, typer.Option("--json", help="File for the figures.")],
    color: Annotated[Path | None, typer.Option(help="Folder of images in color, for demosaicing.")] = None,
    crop: Annotated[
        int | None, typer.Option(help="Most pixels per side of an image; a multiple of 4.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Number of images; all if not given.")] = None,
    tasks: Annotated[list[Task] | None, typer.Option("--task", help="Tasks; all if not given.")] = None,
    model: Annotated[str, typer.Option(help="Model for gray images.")] = "gray-fast",
    color_model: Annotated[str, typer.Option(help="Model for images in color.")] = "color-fast",
) -> None:
    """Restore the images of every problem, and print the mean PSNR."""
    figures: dict[str, dict[str, dict[str, float]]] = (
        json.loads(report.read_text()) if report.exists() else {}
    )
    priors = {False: load_model(model), True: load_model(color_model)}
    paths = {False: images_in(data)[:count], True: images_in(color)[:count] if color else []}
    # Image by image, so that a run cut short covers all problems.
    for seed in range(max(map(len, paths.values()))):
        for name, problem in PROBLEMS.items():
            if tasks and problem.task not in tasks:
                continue
            rows = figures.setdefault(name, {})
            for path in paths[problem.color][seed : seed + 1]:
                if path.name not in rows:
                    clean = middle((read_color if problem.color else read_gray)(path), crop)
                    rows[path.name] = measure(problem, clean, priors[problem.color], seed)
                    write_json(report, figures)
    typer.echo(f"{'':<44}{'start':>8}{'solver':>8}{'preset':>8}{'other':>8}  settings of")
    for name, rows in ((name, rows) for name, rows in figures.items() if rows):
        means = [fmean(row[key] for row in rows.values()) for key in ("start", "solver", "preset", "other")]
        typer.echo(f"{name:<44}{''.join(f'{mean:8.2f}' for mean in means)}  {PROBLEMS[name].other.value}")


if __name__ == "__main__":
    typer.run(main)
