"""Calibration of the deviations of deblurred and recovered images: actual errors against predicted ones.

    python benchmarks/uncertainty.py --data FOLDER --task deblur --kernel FILE.npz:k1 --json deblur.json
    python benchmarks/uncertainty.py --data FOLDER --task cs --json cs.json

Each image is cropped in the middle, degraded with a seed and restored by the preset of the task. Deblurring has
periodic borders and noise of 2.55/255; sensing has 25 % of the Hadamard coefficients without noise. ``within`` holds
the shares of pixels with an error of at most one and two deviations (0.68 and 0.95 for Gaussian errors), without the
factor of calibration (1.0) and with it. ``fitted`` is the factor at which the shares are closest to 0.685 and 0.95, by
least squares. An interrupted run continues where it stopped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox import keep_freed_memory, load_model
from gradprox.files import write_json
from gradprox.images import images_in, read_gray
from gradprox.physics import CircularBlur, HadamardSensing, gaussian_noise, read_kernel
from gradprox.posterior import Posterior, laplace_deviation
from gradprox.posterior.restoration import CALIBRATION
from gradprox.priors import NetworkPrior
from gradprox.solvers import Task, preset

NOISE, RATIO, BINS = 2.55 / 255, 0.25, 6
WANTED = (0.685, 0.95)


def middle(image: Tensor, side: int) -> Tensor:
    """Return a square of this side from the middle of an image."""
    top, left = ((length - side) // 2 for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side].contiguous()


def degraded(
    task: Task, clean: Tensor, kernel: Tensor | None, seed: int
) -> tuple[Tensor, LinearPhysics, float]:
    """Return measurements, their physics and their noise level."""
    size = (clean.shape[-2], clean.shape[-1])
    if task is Task.DEBLUR:
        assert kernel is not None  # noqa: S101  the caller has checked
        blur = CircularBlur(kernel, size)
        noise = gaussian_noise(clean, NOISE, torch.Generator().manual_seed(seed))
        return blur.A(clean) + noise, blur, NOISE
    sensing = HadamardSensing(size, round(RATIO * clean.numel()), seed)
    return sensing.A(clean), sensing, 0.0


def measured(
    task: Task, prior: NetworkPrior, clean: Tensor, kernel: Tensor | None, seed: int
) -> dict[str, Any]:
    """Return uncalibrated deviations and errors of one image, of 255, for all pixels."""
    y, physics, noise = degraded(task, clean, kernel, seed)
    x = preset(task, noise)(y, physics, prior).x
    posterior = Posterior.of_preset(task, y, physics, prior, noise)
    found = laplace_deviation(posterior, x, seed=seed)
    return {
        "deviation": [round(255 * value, 3) for value in found.deviation.flatten().tolist()],
        "error": [round(255 * value, 3) for value in (x - clean).flatten().tolist()],
        "curvature": float(found.curvature),
        "estimate_error": float(255 * found.error.mean()),
    }


def within(deviation: Tensor, error: Tensor, factor: float) -> list[float]:
    """Return the shares of errors within one and two deviations."""
    return [float((error.abs() <= times * factor * deviation).double().mean()) for times in (1, 2)]


def fitted(deviation: Tensor, error: Tensor) -> float:
    """Return the factor, in steps of 0.01, at which the shares are closest to those of a Gaussian (least squares)."""

    def distance(factor: float) -> float:
        return sum(
            (share - wanted) ** 2
            for share, wanted in zip(within(deviation, error, factor), WANTED, strict=True)
        )

    return min((step / 100 for step in range(50, 301)), key=distance)


def reliability(deviation: Tensor, error: Tensor) -> list[dict[str, float]]:
    """Return predicted and actual root mean squares in bins of equally many pixels, by deviation."""
    order = deviation.argsort()
    parts = zip(deviation[order].chunk(BINS), error[order].chunk(BINS), strict=True)
    return [
        {"predicted": float(p.square().mean().sqrt()), "actual": float(e.square().mean().sqrt())}
        for p, e in parts
    ]


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    task: Annotated[Task, typer.Option(help="deblur or cs.")],
    report: Annotated[
        Path, typer.Option("--json", help="Write the figures to this file, and continue from it.")
    ],
    kernel: Annotated[
        str | None, typer.Option(help="Blur kernel of deblurring, for example FILE.npz:k1.")
    ] = None,
    model: Annotated[str, typer.Option()] = "gray-deep",
    crop: Annotated[int, typer.Option(help="Side of the crops.")] = 128,
    every: Annotated[int, typer.Option(help="Take every N-th image.")] = 1,
    count: Annotated[int | None, typer.Option(help="Take at most N images.")] = None,
) -> None:
    """Measure, and print a table."""
    if task not in CALIBRATION or (task is Task.DEBLUR) != (kernel is not None):
        raise typer.BadParameter("give --task deblur with a --kernel, or --task cs without")
    keep_freed_memory()
    paths, prior = images_in(data), load_model(model)
    chosen = paths[::every][:count]
    pixels = report.with_suffix(".pixels.json")
    done: dict[str, Any] = json.loads(pixels.read_text()) if pixels.exists() else {}
    blur = None if kernel is None else read_kernel(kernel)
    with typer.progressbar(list(enumerate(chosen))) as cases:
        for seed, path in cases:
            if path.name not in done:
                done[path.name] = measured(task, prior, middle(read_gray(path), crop), blur, seed)
                write_json(pixels, done)
    deviation, error = (
        torch.tensor([value for case in done.values() for value in case[name]])
        for name in ("deviation", "error")
    )
    rows, factor = reliability(deviation, error), CALIBRATION[task]
    for row in rows:
        typer.echo(f"predicted {row['predicted']:6.2f}   actual {row['actual']:6.2f}")
    shares = {str(f): within(deviation, error, f) for f in (1.0, factor)}
    for name, (one, two) in shares.items():
        typer.echo(f"factor {name}: within one deviation {one:.3f}, within two {two:.3f}")
    best = fitted(deviation, error)
    typer.echo(f"fitted factor {best:.2f}")
    figures = {"model": model, "task": task.value, "crop": crop, "images": len(done), "bins": rows}
    write_json(report, figures | {"within": shares, "fitted": best})


if __name__ == "__main__":
    typer.run(main)
