"""Deblurring of photos with overexposed lamps: clipped pixels as inequalities, and as equations.

    python benchmarks/solvers/clipped.py --data Set12 --kernel Levin09.npz:k2

Each scene is the middle of an image at 0.6 of its brightness, with small lamps that are 4 times as bright as white. It
is blurred beyond its frame, with Gaussian noise of 2.55/255, and clipped to black and white. There are as many lamps as
make one percent of the photo's pixels white. PSNR compares the clipped result with the clipped scene.
"""

from __future__ import annotations

from statistics import fmean
from typing import Annotated

import torch
import typer
from deepinv.loss.metric import PSNR
from middle import read_middle
from shared_options import Data, Json, Kernel, Model
from torch import Tensor

from gradprox import load_model
from gradprox.files import write_json
from gradprox.images import EXAMPLE_IMAGE, images_in
from gradprox.physics import blur_of_images, gaussian_noise, read_kernel
from gradprox.solvers import ClippedL2, deblur_images, preset

NOISE = 2.55 / 255
EXPOSURE, LAMP, SIDE = 0.6, 4.0, 4  # brightness of image and lamps, and pixels per side of a lamp
SHARE = 0.01  # of the photo's pixels that are white


def scene_and_photo(clean: Tensor, kernel: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return a scene with lamps, in the frame of the photo, and the photo."""
    camera = blur_of_images("valid", kernel, (clean.shape[-2], clean.shape[-1]), 1)
    generator = torch.Generator().manual_seed(seed)
    scene = EXPOSURE * clean
    photo = camera.A(scene)
    while float((photo >= 1).double().mean()) < SHARE:
        top, left = (
            int(torch.randint(length - SIDE, (), generator=generator)) for length in clean.shape[-2:]
        )
        scene[..., top : top + SIDE, left : left + SIDE] = LAMP
        photo = camera.A(scene)
    return camera.visible(scene), (photo + gaussian_noise(photo, NOISE, generator)).clamp(0, 1)


def main(
    data: Data = None,
    kernel: Kernel = "motion:9:30",
    model: Model = "gray-deep",
    crop: Annotated[int, typer.Option(help="Most pixels per side of an image.")] = 160,
    json: Json = None,
) -> None:
    """Restore every photo in both ways, and print PSNR."""
    prior, blur, psnr = load_model(model), read_kernel(kernel), PSNR()
    rows = {}
    for seed, path in enumerate(images_in(data) if data else [EXAMPLE_IMAGE]):
        sharp, photo = scene_and_photo(read_middle(path, crop), blur, seed)
        row = {"photo": float(psnr(photo, sharp.clamp(0, 1)))}
        for name, fidelity in (("equations", None), ("inequalities", ClippedL2())):
            x, result = deblur_images(photo, blur, prior, preset("deblur", NOISE), fidelity=fidelity)
            if int(result.objective_increases):
                raise SystemExit("an objective rose: this is a fault of gradprox")
            row[name] = float(psnr(x.clamp(0, 1), sharp.clamp(0, 1)))
        rows[path.name] = row
        typer.echo(f"{path.name}  " + "  ".join(f"{name} {value:.2f} dB" for name, value in row.items()))
    means = {name: fmean(row[name] for row in rows.values()) for name in row}
    typer.echo("mean  " + "  ".join(f"{name} {value:.2f} dB" for name, value in means.items()))
    if json:
        write_json(json, {"model": model, "kernel": kernel, "crop": crop, "mean": means, "images": rows})


if __name__ == "__main__":
    typer.run(main)
