"""Measure whether running longer makes images worse: PSNR after 5 to 200 steps, beyond what the presets plan.

    python benchmarks/solvers/convergence.py --data SET12 --kernel Levin09.npz:k2 --json convergence-gray-fast.json

The objective falls at every step, but the image of the lowest objective need not be the best one. Each case runs the
preset's warm start and then the last solver with the tolerance ``--tol``, without the preset's planned end. ``end`` is
the image at this tolerance or after ``--steps`` steps, ``best`` the best image of the run. Without a folder a small
crop of the demo's image is restored.
"""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, Any

import torch
import typer
from deepinv.loss.metric import PSNR
from deepinv.physics import LinearPhysics
from middle import read_middle
from shared_options import Data, Json, Kernel, Model
from torch import Tensor

from gradprox import load_model
from gradprox.files import write_json
from gradprox.images import EXAMPLE_IMAGE, images_in
from gradprox.physics import CircularBlur, HadamardSensing, gaussian_noise, read_kernels
from gradprox.priors.contract import Prior
from gradprox.solvers.presets import Task, preset

# After so many steps after the warm start, images are compared.
MARKS = (1, 5, 10, 20, 50, 100, 200)
# Name, inverse problem and noise level of the cases of each image.
CASES = (
    ("deblur 2.55", Task.DEBLUR, 2.55 / 255),
    ("deblur 7.65", Task.DEBLUR, 7.65 / 255),
    ("Hadamard 25 %", Task.COMPRESSED_SENSING, 0.0),
)


def problem(task: Task, kernel: Tensor, size: tuple[int, int]) -> LinearPhysics:
    """Return the forward operator."""
    if task is Task.DEBLUR:
        return CircularBlur(kernel, size)
    return HadamardSensing(size, size[0] * size[1] // 4)


def curve(
    task: Task, noise: float, clean: Tensor, kernel: Tensor, prior: Prior, tol: float, steps: int
) -> list[float]:
    """Return the PSNR after each step after the warm start, until the tolerance is reached."""
    physics = problem(task, kernel, (clean.shape[-2], clean.shape[-1]))
    y = physics(clean)
    y = y + gaussian_noise(y, noise, torch.Generator().manual_seed(0))
    chosen = preset(task, noise, tol=tol, max_iter=steps)
    psnr, values = PSNR(), list[float]()
    result = chosen(y, physics, prior, callback=lambda step: values.append(float(psnr(step.state.x, clean))))
    if int(result.objective_increases.sum()):
        raise SystemExit("an objective rose: this is a fault of gradprox")
    return values[-result.residual.shape[1] :]


def summary(curves: list[list[float]]) -> dict[str, Any]:
    """Return mean PSNR at each mark, of the best image and of the last one; a finished run keeps its last image."""
    return {
        "psnr": {str(mark): fmean(values[min(mark, len(values)) - 1] for values in curves) for mark in MARKS},
        "best": fmean(max(values) for values in curves),
        "end": fmean(values[-1] for values in curves),
        "steps": fmean(len(values) for values in curves),
    }


def main(
    data: Data = None,
    kernel: Kernel = "motion:9:30",
    model: Model = "gray-fast",
    crop: Annotated[
        int | None, typer.Option(help="Pixels per side, from the middle; else whole images.")
    ] = None,
    tol: Annotated[float, typer.Option(help="Tolerance of the relative change.")] = 1e-5,
    steps: Annotated[int, typer.Option(help="Largest number of steps after the warm start.")] = 200,
    threads: int = 1,
    json: Json = None,
) -> None:
    """Run every case on every image and print the means."""
    torch.set_num_threads(threads)
    prior, (blur,) = load_model(model), read_kernels(kernel).values()
    paths = images_in(data) if data else [EXAMPLE_IMAGE]
    images = [read_middle(path, crop if data else crop or 64) for path in paths]
    figures = {}
    for name, task, noise in CASES:
        figures[name] = summary([curve(task, noise, clean, blur, prior, tol, steps) for clean in images])
        marks = "  ".join(f"{mark}: {value:.2f}" for mark, value in figures[name]["psnr"].items())
        typer.echo(f"{name}  {marks}  best {figures[name]['best']:.2f}  end {figures[name]['end']:.2f}")
    if json:
        settings = {"model": model, "kernel": kernel, "crop": crop, "tol": tol, "steps": steps}
        write_json(json, {"settings": settings, "images": [path.name for path in paths], "figures": figures})


if __name__ == "__main__":
    typer.run(main)
