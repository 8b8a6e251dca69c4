"""Deblurring and denoising of JPEG photos with no option but the kernel: is the result better than the input?

    python benchmarks/solvers/jpeg.py --data Set12 --kernels Levin09.npz --json jpeg.json

Each case is the middle of an image, blurred by one kernel as a camera does, with Gaussian noise, stored as JPEG. It is
restored by the code of ``gradprox deblur`` or ``gradprox denoise`` with the noise level that they estimate. The gain is
the PSNR of the result less that of the JPEG file, both against the sharp image.

An interrupted run continues if its JSON file exists.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
from deepinv.loss.metric import PSNR
from middle import read_middle
from PIL import Image
from torch import Tensor

from gradprox.cli.deblur import Deblurring
from gradprox.cli.denoise import Denoising
from gradprox.cli.frames import RestoreImage
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.workers import Unwatched
from gradprox.files import write_json
from gradprox.images import images_in, read_gray, read_image
from gradprox.physics import blur_of_images, gaussian_noise, read_kernel

QUALITIES = (60, 80, 92, 98)
LEVELS = (0.0, 2.55, 10.0)
NO_BLUR = "none"


def degraded(clean: Tensor, kernel: str | None, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the sharp image in the frame of the photo, and the blurred and noisy photo."""
    sharp, photo = clean, clean
    if kernel is not None:
        camera = blur_of_images("valid", read_kernel(kernel), (clean.shape[-2], clean.shape[-1]), 1)
        sharp, photo = camera.visible(clean), camera.A(clean)
    return sharp, photo + gaussian_noise(photo, noise, torch.Generator().manual_seed(seed))


def restored(restore: RestoreImage, sharp: Tensor, photo: Tensor, quality: int, path: Path) -> dict[str, Any]:
    """Store a photo as JPEG, restore the file, and return the figures."""
    pixels = (255 * photo[0, 0]).round().clamp(0, 255).byte().numpy()
    Image.fromarray(pixels).save(path, quality=quality)
    image, record, _ = restore(read_image(path), path, Unwatched())
    psnr_input = float(PSNR()(read_gray(path), sharp))
    gain = float(PSNR()(image.pixels, sharp)) - psnr_input
    return {"estimated_noise": record["estimated_noise"], "psnr_input": psnr_input, "gain": gain}


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    kernels: Annotated[Path, typer.Option(help="File of Levin's kernels.")],
    report: Annotated[Path, typer.Option("--json", help="File for the figures.")],
    crop: Annotated[int, typer.Option(help="Most pixels per side of an image.")] = 128,
    qualities: Annotated[
        list[int] | None, typer.Option("--quality", help="Qualities of the JPEG files.")
    ] = None,
    levels: Annotated[list[float] | None, typer.Option("--noise", help="Noise levels, of 255.")] = None,
    count: Annotated[int | None, typer.Option(help="Number of images; all if not given.")] = None,
) -> None:
    """Restore JPEG photos of every quality, noise level and blur, and print the gains."""
    figures: dict[str, dict[str, Any]] = json.loads(report.read_text()) if report.exists() else {}
    blurs = {name: f"{kernels}:{name}" for name in ("k1", "k4")} | {
        name: name for name in ("disk:3", "gaussian:1.6")
    }
    solver, denoiser = Priors(ModelChoice()), Priors(ModelChoice(), for_solver=False)
    restores = {name: Deblurring(kernel=kernel).restorer(solver) for name, kernel in blurs.items()}
    restores[NO_BLUR] = Denoising().restorer(denoiser)
    # Image by image, so that a run cut short covers all cases.
    for seed, path in enumerate(images_in(data)[:count]):
        for blur, level, quality in product(restores, levels or LEVELS, qualities or QUALITIES):
            rows = figures.setdefault(f"{blur}, noise {level:g}/255, quality {quality}", {})
            if path.name in rows:
                continue
            sharp, photo = degraded(read_middle(path, crop), blurs.get(blur), level / 255, seed)
            with TemporaryDirectory() as folder:
                rows[path.name] = restored(restores[blur], sharp, photo, quality, Path(folder) / "photo.jpg")
        write_json(report, figures)
        typer.echo(f"{path.name} done")
    for case, rows in figures.items():
        gains = [row["gain"] for row in rows.values()]
        typer.echo(f"{case:<40} mean gain {fmean(gains):6.2f} dB, least {min(gains):6.2f} dB")


if __name__ == "__main__":
    typer.run(main)
