"""Deblurring with wrong kernels: what is lost, and whether the warning of `gradprox deblur` says so.

    python benchmarks/solvers/wrong_kernels.py --data Set12 --kernels Levin09.npz --json wrong.json

Each problem is the middle of an image, blurred beyond its frame by a motion, a disk, a Gaussian or one of the kernels
of ``--kernels``, with Gaussian noise of 2.55/255 or 7.65/255. It is restored with the true kernel, and with kernels
whose length, radius or width is 10 % or 25 % off, or whose angle is 5 or 15 degrees off. A case is one restoration. It
is *bad* if it loses more than 3 dB against the true kernel, and *good* if it loses less than 0.5 dB.

An interrupted run continues if its JSON file exists.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from deepinv.loss.metric import PSNR
from deepinv.physics import LinearPhysics
from middle import read_middle
from safetensors.torch import load_file, save_file
from torch import Tensor

from gradprox import load_model
from gradprox.errors import InputError
from gradprox.files import write_json
from gradprox.images import images_in
from gradprox.physics import (
    LARGEST_FITTING_SCORE,
    blur_of_images,
    blur_of_photos,
    disk_kernel,
    gaussian_kernel,
    gaussian_noise,
    motion_kernel,
    read_kernels,
    refine_kernel,
    scaled_and_turned,
    wrong_kernel_score,
)
from gradprox.priors.contract import Prior
from gradprox.solvers.presets import Task, preset

LEVELS = (2.55, 7.65)
SCALES = (0.75, 0.9, 1.1, 1.25)
ANGLES = (-15, -5, 5, 15)
MOTIONS = ((9, 20), (13, 0), (15, 110), (21, 65))
RADII = (2.5, 4.0, 6.0)
WIDTHS = (1.2, 2.0, 2.8)
BAD, GOOD = 3.0, 0.5  # dB
TRUE = "true"


@dataclass(frozen=True)
class Blur:
    """A kernel and wrong versions of it, by description; the true one comes first."""

    name: str
    kernels: dict[str, Tensor]


def scaled(value: float) -> dict[str, float]:
    """Return wrong values of a length, by description."""
    return {f"{scale:g} times": scale * value for scale in SCALES}


def blurs(measured: dict[str, Tensor]) -> list[Blur]:
    """Return all blurs, families and measured kernels in turn."""
    motions = [
        Blur(
            f"motion:{length}:{angle}",
            {TRUE: motion_kernel(length, angle)}
            | {name: motion_kernel(wrong, angle) for name, wrong in scaled(length).items()}
            | {f"{turn:+d} degrees": motion_kernel(length, angle + turn) for turn in ANGLES},
        )
        for length, angle in MOTIONS
    ]
    round_ones = [
        Blur(
            f"{family}:{size:g}",
            {TRUE: generate(size)} | {name: generate(wrong) for name, wrong in scaled(size).items()},
        )
        for family, generate, sizes in (("disk", disk_kernel, RADII), ("gaussian", gaussian_kernel, WIDTHS))
        for size in sizes
    ]
    others = [
        Blur(
            name,
            {TRUE: kernel}
            | {f"{scale:g} times": scaled_and_turned(kernel, scale, 0) for scale in SCALES}
            | {f"{turn:+d} degrees": scaled_and_turned(kernel, 1, turn) for turn in ANGLES},
        )
        for name, kernel in measured.items()
    ]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(others, motions, round_ones))
    return [blur for blur in in_turn if blur is not None]


def problem(
    number: int, images: list[Path], all_blurs: list[Blur], crop: int
) -> tuple[Path, Blur, float, Tensor, Tensor]:
    """Return image file, blur, noise level, blurred photo and the sharp image in its frame of one problem."""
    path, blur = images[number % len(images)], all_blurs[number % len(all_blurs)]
    # Shifted after each round, so that every blur meets both levels.
    level = LEVELS[(number + number // len(all_blurs)) % len(LEVELS)]
    clean = read_middle(path, crop)
    physics = blur_of_images("valid", blur.kernels[TRUE], (clean.shape[-2], clean.shape[-1]), 1)
    y = physics.A(clean)
    return (
        path,
        blur,
        level,
        y + gaussian_noise(y, level / 255, torch.Generator().manual_seed(number)),
        physics.visible(clean),
    )


def restored(y: Tensor, physics: LinearPhysics, prior: Prior, noise: float, file: Path | None) -> Tensor:
    """Return the restored image: from a file if that exists; otherwise restore it, and write the file."""
    if file and file.exists():
        return load_file(file)["x"]
    x = preset(Task.DEBLUR, noise)(y, physics, prior).x
    if file:
        save_file({"x": x}, file)
    return x


def summary(cases: list[dict[str, Any]]) -> dict[str, float]:
    """Return how many bad and good cases there are, and the share of each that gets a warning."""
    kinds = {
        "bad": [case for case in cases if case["loss"] > BAD],
        "good": [case for case in cases if case["loss"] < GOOD],
        TRUE: [case for case in cases if case["kernel"] == TRUE],
    }
    figures: dict[str, float] = {"cases": len(cases)}
    for name, found in kinds.items():
        figures[name] = len(found)
        figures[f"warned of {name}"] = sum(case["score"] > LARGEST_FITTING_SCORE for case in found) / max(
            len(found), 1
        )
    return figures


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    kernels: Annotated[str, typer.Option(help="A .npz, .npy or .mat file of kernels.")],
    crop: Annotated[int, typer.Option(help="Largest side in pixels.")] = 128,
    problems: Annotated[int, typer.Option(help="Number of problems.")] = 18,
    wrong: Annotated[int, typer.Option(help="Wrong kernels per problem, drawn from all.")] = 3,
    refine: Annotated[bool, typer.Option("--refine", help="Restore with the refined kernel, too.")] = False,
    model: Annotated[str, typer.Option()] = "gray-fast",
    keep: Annotated[
        Path | None,
        typer.Option(help="Existing folder of restored images, to try another test without restoring."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file; continue from it.")
    ] = None,
) -> None:
    """Measure the missing cases and print the shares of warnings."""
    settings = {"model": model, "crop": crop, "wrong": wrong, "refine": refine}
    figures: dict[str, Any] = {"settings": settings, "summary": {}, "cases": []}
    if report and report.exists():
        figures = json.loads(report.read_text(encoding="utf-8"))
        if figures["settings"] != settings:
            raise InputError(f"{report}: was measured with {figures['settings']}: name another file")
    prior, paths, all_blurs = load_model(model), images_in(data), blurs(read_kernels(kernels))
    rows = figures["cases"]
    for number in range(len(rows) // (wrong + 1), problems):
        path, blur, level, y, clean = problem(number, paths, all_blurs, crop)
        drawn = random.Random(number).sample(list(blur.kernels)[1:], wrong)  # noqa: S311  no secret
        found: list[dict[str, Any]] = []
        for name in (TRUE, *drawn):
            physics = blur_of_photos("valid", blur.kernels[name], (y.shape[-2], y.shape[-1]), 1)
            file = keep / f"{number}-{name.replace(' ', '-')}.safetensors" if keep else None
            x = restored(y, physics, prior, level / 255, file)
            psnr = float(PSNR()(physics.visible(x), clean))
            refined = {}
            if refine:
                better = refine_kernel(y, blur.kernels[name], level / 255)
                physics_of_better = blur_of_photos("valid", better.kernel, (y.shape[-2], y.shape[-1]), 1)
                x_of_better = preset(Task.DEBLUR, level / 255)(y, physics_of_better, prior).x
                refined = {
                    "refined": float(PSNR()(physics_of_better.visible(x_of_better), clean)),
                    "scale": better.scale,
                    "turn": better.turn,
                }
            found.append(
                {
                    "image": path.name,
                    "blur": blur.name,
                    "noise": level,
                    "kernel": name,
                    "psnr": psnr,
                    "loss": (found[0]["psnr"] if found else psnr) - psnr,
                    "score": float(wrong_kernel_score(y, x, physics, level / 255)),
                }
                | refined
            )
        rows.extend(found)
        figures["summary"] = summary(rows)
        if report:
            write_json(report, figures)
        typer.echo(
            f"{path.name} {blur.name} {level}/255: "
            + ", ".join(f"{c['kernel']} {c['psnr']:.2f} dB, score {c['score']:.2f}" for c in found)
        )
    typer.echo(json.dumps(figures["summary"], indent=1))


if __name__ == "__main__":
    typer.run(main)
