"""Deblurring with real motion kernels: a certified solver against total variation and uncertified HQS.

    python benchmarks/solvers/levin.py --data Set12 --kernels Levin09.npz --json levin.json

Each case is the middle of an image, blurred periodically by one kernel, with Gaussian noise of 2.55/255 or 7.65/255.
Case ``i`` takes image ``i`` and kernel ``i``, cyclically, so that few cases cover all images and all kernels. The
competitors have the settings of a grid with the highest mean PSNR on the first cases.

* ``certified``: the preset of ``gradprox deblur``.
* ``scheduled hqs``: the same model in `ScheduledHQS`.
* ``tv``: ``|A x - y|^2/2 + weight TV(x)``, by deepinv's ADMM and `TVPrior`.

An interrupted run continues if its JSON file exists.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer
from deepinv.loss.metric import PSNR
from deepinv.physics import LinearPhysics
from middle import read_middle
from rivals import total_variation
from torch import Tensor

from gradprox import load_model
from gradprox.errors import InputError
from gradprox.files import write_json
from gradprox.images import images_in
from gradprox.physics import CircularBlur, gaussian_noise, read_kernels
from gradprox.priors import LearnedProx
from gradprox.solvers import ScheduledHQS
from gradprox.solvers.presets import Task, preset

LEVELS = (2.55, 7.65)
# In units of noise^2; of the noise and of its Bayesian weight.
TV_WEIGHTS = (3.0, 4.5, 6.5, 9.5, 14.0)
HQS_SIGMAS = (1.0, 1.5, 2.2)
HQS_STRENGTHS = (0.3, 0.6, 1.2)

Method = Callable[[Tensor, LinearPhysics], Tensor]


@dataclass(frozen=True)
class Case:
    """A blurred image, ``(1, 1, H, W)``."""

    image: str
    kernel: str
    clean: Tensor
    y: Tensor
    physics: CircularBlur

    def psnr(self, method: Method) -> float:
        """Return the PSNR of a method in dB."""
        return float(PSNR()(method(self.y, self.physics), self.clean))


def case(number: int, noise: float, images: list[Path], kernels: dict[str, Tensor], crop: int) -> Case:
    """Return one case; ``noise`` is the standard deviation."""
    path = images[number % len(images)]
    # After each common period the pairing is shifted, so that every image meets every kernel.
    shift = number // math.lcm(len(images), len(kernels))
    name, kernel = list(kernels.items())[(number + shift) % len(kernels)]
    clean = read_middle(path, crop)
    physics = CircularBlur(kernel, (clean.shape[-2], clean.shape[-1]))
    y = physics.A(clean)
    y = y + gaussian_noise(y, noise, torch.Generator().manual_seed(number))
    return Case(path.name, name, clean, y, physics)


def scheduled(
    prior: LearnedProx, noise: float, sigma: float, lambda_reg: float, y: Tensor, physics: LinearPhysics
) -> Tensor:
    """Restore by uncertified half-quadratic splitting; ``sigma`` in units of the noise."""
    return ScheduledHQS(sigma=sigma * noise, noise=noise, lambda_reg=lambda_reg)(y, physics, prior).x


def rivals(prior: LearnedProx, noise: float) -> dict[str, dict[str, Method]]:
    """Return the rivals' settings, by name and description."""
    return {
        "tv": {f"weight {w:g} noise^2": partial(total_variation, w * noise**2) for w in TV_WEIGHTS},
        "scheduled hqs": {
            f"sigma {s:g} noise, lambda {w:g}": partial(scheduled, prior, noise, s, w)
            for s, w in itertools.product(HQS_SIGMAS, HQS_STRENGTHS)
        },
    }


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    kernels: Annotated[str, typer.Option(help="A .npz, .npy or .mat file of kernels.")],
    crop: Annotated[int, typer.Option(help="Largest side in pixels.")] = 128,
    cases: Annotated[int, typer.Option(help="Cases per noise level.")] = 24,
    tuning: Annotated[int, typer.Option(help="Number of cases on which the competitors are tuned.")] = 4,
    model: Annotated[str, typer.Option()] = "gray-fast",
    report: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file; continue from it.")
    ] = None,
) -> None:
    """Measure the missing cases and print the means."""
    settings = {"model": model, "crop": crop, "tuning": tuning}
    figures: dict[str, Any] = {"settings": settings, "tuned": {}, "cases": {}}
    if report and report.exists():
        figures = json.loads(report.read_text(encoding="utf-8"))
        if figures["settings"] != settings:
            raise InputError(f"{report}: was measured with {figures['settings']}: name another file")
    prior, blurs, paths = load_model(model), read_kernels(kernels), images_in(data)
    for level in LEVELS:
        noise, label = level / 255, f"{level:g}/255"
        made = partial(case, noise=noise, images=paths, kernels=blurs, crop=crop)
        if label not in figures["tuned"]:
            first = [made(number) for number in range(min(tuning, cases))]
            figures["tuned"][label] = {
                name: {what: fmean(c.psnr(method) for c in first) for what, method in grid.items()}
                for name, grid in rivals(prior, noise).items()
            }
            save(report, figures)
        certified = preset(Task.DEBLUR, noise)
        methods: dict[str, Method] = {"certified": lambda y, physics, s=certified: s(y, physics, prior).x}
        for name, grid in rivals(prior, noise).items():
            found = figures["tuned"][label][name]
            best = max(found, key=found.__getitem__)
            methods[name] = grid[best]
            typer.echo(f"{label} {name}: {best}, {found[best]:.2f} dB on the first cases")
        rows = figures["cases"].setdefault(label, [])
        for number in range(len(rows), cases):
            current = made(number)
            row: dict[str, Any] = {"image": current.image, "kernel": current.kernel}
            rows.append(row | {name: current.psnr(method) for name, method in methods.items()})
            save(report, figures)
        for name in methods:
            typer.echo(f"{label} {name:<14}{fmean(row[name] for row in rows[:cases]):6.2f} dB")


def save(report: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures if a path is given."""
    if report:
        write_json(report, figures)


if __name__ == "__main__":
    typer.run(main)
