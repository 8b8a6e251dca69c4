"""Measure how much PSNR the unknown border of a photo costs: restore one blurred photo with every boundary.

    python benchmarks/borders.py --data Set12 --kernel Levin09.npz:k1 --noise 2.55/255

The photo is blurred beyond its frame. For comparison, "periodic" is a periodic image with the same noise, restored with
the circular boundary. The interior is the frame without the pixels that the kernel reaches from outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from deepinv.loss.metric import PSNR
from torch import Tensor

from gradprox import load_model
from gradprox.images import images_in, read_gray
from gradprox.physics import BOUNDARIES, CircularBlur, ValidBlur, gaussian_noise, parse_level, read_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import Task, deblur_images, preset


def psnr_by_boundary(
    clean: Tensor, kernel: Tensor, noise: float, prior: LearnedProx
) -> dict[str, tuple[float, ...]]:
    """Return the PSNR in dB of frame and interior, for each boundary.

    Args:
        clean: the image, ``(1, C, H, W)``. The photo is its middle.
        kernel: ``(1, 1, h, w)``.
        noise: standard deviation of the noise.
        prior: the learned prox.
    """
    size = (clean.shape[-2], clean.shape[-1])
    camera = ValidBlur(kernel, size)
    periodic = CircularBlur(kernel, size, clean.shape[1]).A(clean)
    periodic = periodic + gaussian_noise(periodic, noise, torch.Generator().manual_seed(0))
    photo = camera.visible(periodic)  # no pixel of this crop is affected by the periodic border
    algorithm = preset(Task.DEBLUR, noise)
    restored = {b: deblur_images(photo, kernel, prior, algorithm, boundary=b)[0] for b in BOUNDARIES}
    whole, _ = deblur_images(periodic, kernel, prior, algorithm, boundary="circular")
    restored["periodic"] = camera.visible(whole)
    psnr, sharp = PSNR(), camera.visible(clean)
    return {
        name: tuple(float(psnr(part(x), part(sharp))) for part in (lambda x: x, camera.visible))
        for name, x in restored.items()
    }


def main(
    data: Annotated[Path, typer.Option(help="Folder of clean images.")],
    kernel: Annotated[str, typer.Option(help="As in gradprox deblur.")] = "motion:15:45",
    noise: Annotated[str, typer.Option(help="As in gradprox deblur.")] = "2.55/255",
    count: Annotated[int | None, typer.Option(help="Number of images; all if not given.")] = None,
) -> None:
    """Print one line per image."""
    prior, blur = load_model("gray-fast"), read_kernel(kernel)
    for path in images_in(data)[:count]:
        figures = psnr_by_boundary(read_gray(path), blur, parse_level(noise), prior)
        texts = (
            f"{name} {frame:.2f} (interior {interior:.2f})" for name, (frame, interior) in figures.items()
        )
        print(f"{path.name}: " + ", ".join(texts), flush=True)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
