"""Estimation of blur kernels: how much a restoration loses by the estimated kernel, and whether its confidence says so.

    python benchmarks/blind.py --data Set12 --kernels Levin09.npz --crop 256 --json blind.json

Each case is a photo of ``--crop`` pixels: the middle of an image, blurred beyond its frame (``--boundary valid``) or as
if it continued periodically (``--boundary circular``), with Gaussian noise of 2.55/255. Case ``i`` takes image ``i``,
cyclically. The kernels are those of ``--kernels`` with ``--blurs free``; with ``--blurs families``, they are disks of
radius 2 to 6, Gaussians of 1 to 3 and motions of 7 to 25 pixels; ``--blurs none`` takes the sharp image. Every photo is
restored with the true kernel and with the estimate, with its own boundary. The estimate knows of no boundary.

* *error ratio*: squared error with the estimated kernel, divided by that with the true one (Levin, Weiss, Durand and
  Freeman, CVPR 2009), after the shift that a kernel leaves open is undone;
* *loss*: the same in dB;
* *close*: length, radius or width within 10 %, angle within 5 degrees, and the right family.

An interrupted run continues if its JSON file exists.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy import ndimage
from torch import Tensor

from gradprox import load_model
from gradprox.blind import LEAST_CONFIDENCE, estimate_kernel
from gradprox.errors import InputError
from gradprox.files import write_json
from gradprox.images import images_in, read_gray
from gradprox.memory import keep_freed_memory
from gradprox.physics import (
    blur_of_images,
    disk_kernel,
    gaussian_kernel,
    gaussian_noise,
    motion_kernel,
    read_kernels,
)
from gradprox.solvers import Preset, deblur_images
from gradprox.solvers.presets import Task, preset

NOISE = 2.55 / 255
GENERATORS = {"disk": disk_kernel, "gaussian": gaussian_kernel, "motion": motion_kernel}
RANGES = {"disk": (2.0, 6.0), "gaussian": (1.0, 3.0), "motion": (7.0, 25.0)}
LENGTH_ERROR, ANGLE_ERROR, LOSS = 0.1, 5.0, 0.5
# Pixels at the border that are not compared, and the largest shift.
BORDER, LARGEST_SHIFT = 16, 10


class Blurs(str, Enum):
    """Which blurs are measured."""

    FREE = "free"
    FAMILIES = "families"
    NONE = "none"


class Boundary(str, Enum):
    """Where the light at the border of a photo comes from: beyond the frame, or the opposite border."""

    VALID = "valid"
    CIRCULAR = "circular"


@dataclass(frozen=True)
class Blur:
    """A kernel ``(1, 1, h, w)``, its family and its parameters."""

    name: str
    family: str
    parameters: tuple[float, ...]
    kernel: Tensor


def blur_of_case(number: int, blurs: Blurs, measured: dict[str, Tensor], images: int) -> Blur:
    """Return the blur of a case."""
    if blurs is Blurs.NONE:
        return Blur("none", "none", (), torch.ones(1, 1, 1, 1))
    if blurs is Blurs.FREE:
        # After each common period the pairing is shifted, so that every image meets every kernel.
        shift = number // math.lcm(images, len(measured))
        name, kernel = list(measured.items())[(number + shift) % len(measured)]
        return Blur(name, "free", (), kernel)
    family = list(RANGES)[number % len(RANGES)]
    draw = np.random.default_rng(number)
    parameters = (draw.uniform(*RANGES[family]),) + ((draw.uniform(0, 180),) if family == "motion" else ())
    name = ":".join([family, *(f"{value:.3g}" for value in parameters)])
    return Blur(name, family, parameters, GENERATORS[family](*parameters))


def photo(path: Path, kernel: Tensor, boundary: str, crop: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return a blurred photo of at most ``crop`` pixels per side, and the sharp image in its frame."""
    clean = read_gray(path)
    margins = (side - 1 if boundary == "valid" else 0 for side in kernel.shape[-2:])
    height, width = (
        min(length, crop + margin) for length, margin in zip(clean.shape[-2:], margins, strict=True)
    )
    top, left = (clean.shape[-2] - height) // 2, (clean.shape[-1] - width) // 2
    clean = clean[..., top : top + height, left : left + width]
    physics = blur_of_images(boundary, kernel, (height, width), 1)
    y = physics.A(clean)
    return y + gaussian_noise(y, NOISE, torch.Generator().manual_seed(seed)), physics.visible(clean)


def squared_error(x: Tensor, clean: Tensor) -> float:
    """Return the squared error of ``x`` after the best shift, found to an eighth of a pixel."""
    image = x[0, 0].double().numpy()
    inside = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    wanted = clean[0, 0].double().numpy()[inside]

    def error(shift: tuple[float, float], order: int) -> float:
        moved = ndimage.shift(image, shift, order=order, mode="nearest")
        return float(np.square(moved[inside] - wanted).sum())

    reach = range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    best = min(((float(down), float(right)) for down in reach for right in reach), key=lambda s: error(s, 0))
    for step in (0.5, 0.25, 0.125):
        near = [(best[0] + i * step, best[1] + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        best = min(near, key=lambda shift: error(shift, 3))
    return error(best, 3)


def is_close(blur: Blur, family: str, parameters: tuple[float, ...]) -> bool:
    """Return whether an estimate has the right family and nearly the right parameters."""
    if family != blur.family:
        return False
    length = abs(parameters[0] / blur.parameters[0] - 1) <= LENGTH_ERROR
    turn = abs((parameters[-1] - blur.parameters[-1] + 90) % 180 - 90) if family == "motion" else 0.0
    return length and turn <= ANGLE_ERROR


def measured_case(
    path: Path, blur: Blur, family: str, boundary: str, crop: int, seed: int, model: Any, solver: Preset
) -> dict[str, Any]:
    """Return the figures of one case."""
    y, clean = photo(path, blur.kernel, boundary, crop, seed)
    began = time.perf_counter()
    found = estimate_kernel(y, NOISE, family=blur.family if family == "true" else family)
    row: dict[str, Any] = {
        "image": path.name,
        "blur": blur.name,
        "family": found.family,
        "parameters": list(found.parameters),
        "confidence": found.confidence,
        "seconds": time.perf_counter() - began,
    }
    if blur.family == "none":
        return row
    errors = [
        squared_error(deblur_images(y, kernel, model, solver, boundary=boundary)[0], clean)
        for kernel in (blur.kernel, found.kernel)
    ]
    row |= {"ratio": errors[1] / errors[0], "loss": 10 * math.log10(errors[1] / errors[0])}
    if blur.family != "free":
        row["close"] = is_close(blur, found.family, found.parameters)
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the shares of the bars."""
    trusted = [row for row in rows if row["confidence"] >= LEAST_CONFIDENCE]
    figures = {
        "cases": len(rows),
        "called good": len(trusted) / len(rows),
        "median seconds": median(row["seconds"] for row in rows),
    }
    restored = [row for row in rows if "ratio" in row]
    if not restored:
        return figures
    good = [row for row in restored if row["ratio"] <= 3]
    figures |= {
        "ratio <= 2": fmean(row["ratio"] <= 2 for row in restored),
        "ratio <= 3": fmean(row["ratio"] <= 3 for row in restored),
        "median ratio": median(row["ratio"] for row in restored),
        "loss <= 0.5 dB": fmean(row["loss"] <= LOSS for row in restored),
        "bad among called good": fmean(row["ratio"] > 3 for row in trusted) if trusted else 0.0,
        "called good among good": fmean(row in trusted for row in good) if good else 0.0,
    }
    if "close" in restored[0]:
        figures["close"] = fmean(row["close"] for row in restored)
    return figures


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    kernels: Annotated[str | None, typer.Option(help="A .npz, .npy or .mat file of kernels.")] = None,
    blurs: Annotated[Blurs, typer.Option(help="Which blurs are measured.")] = Blurs.FREE,
    family: Annotated[str, typer.Option(help="Family of the estimates; true: that of the blur.")] = "auto",
    boundary: Annotated[
        Boundary, typer.Option(help="How images continue beyond their frame.")
    ] = Boundary.VALID,
    crop: Annotated[int, typer.Option(help="Largest side of a photo in pixels.")] = 256,
    cases: Annotated[int, typer.Option(help="Number of cases.")] = 24,
    step: Annotated[int, typer.Option(help="Take every n-th image of the folder.")] = 1,
    model: Annotated[str, typer.Option()] = "gray-fast",
    report: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file; continue from it.")
    ] = None,
) -> None:
    """Measure the missing cases and print the shares."""
    settings = {
        "blurs": blurs.value,
        "family": family,
        "boundary": boundary.value,
        "crop": crop,
        "step": step,
        "model": model,
    }
    figures: dict[str, Any] = {"settings": settings, "summary": {}, "cases": []}
    if report and report.exists():
        figures = json.loads(report.read_text(encoding="utf-8"))
        if figures["settings"] != settings:
            raise InputError(f"{report}: was measured with {figures['settings']}: name another file")
    if kernels is None and blurs is Blurs.FREE:
        raise InputError("--blurs free: give the --kernels")
    keep_freed_memory()
    paths, measured = images_in(data)[::step], {} if kernels is None else read_kernels(kernels)
    prior, solver, rows = load_model(model), preset(Task.DEBLUR, NOISE), figures["cases"]
    for number in range(len(rows), cases):
        path, blur = paths[number % len(paths)], blur_of_case(number, blurs, measured, len(paths))
        rows.append(measured_case(path, blur, family, boundary.value, crop, number, prior, solver))
        figures["summary"] = summary(rows)
        if report:
            write_json(report, figures)
        typer.echo(json.dumps(rows[-1]))
    typer.echo(json.dumps(figures["summary"], indent=1))


if __name__ == "__main__":
    typer.run(main)
