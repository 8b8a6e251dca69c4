"""What the preconditioner of valid blur gains: PSNR and time of the preset, with and without it.

    python benchmarks/solvers/preconditioning.py --data SET12 --kernel Levin09.npz:k2 --json preconditioning.json

Photos are blurred beyond their frame. ``plain`` fits take at most 40 iterations of conjugate gradients,
``preconditioned`` ones as many as they need. PSNR is that of the frame of the photo; seconds are processor time of the
whole preset.
"""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from middle import read_middle
from photos import restored
from shared_options import Data, Json, Kernel, Model

from gradprox import load_model
from gradprox.files import write_json
from gradprox.images import EXAMPLE_IMAGE, images_in
from gradprox.physics import read_kernel
from gradprox.solvers import least_squares
from gradprox.solvers.presets import preset

# Noise levels, of 255.
LEVELS = (0.5, 2.55, 7.65)


def main(
    data: Data = None,
    kernel: Kernel = "motion:9:30",
    model: Model = "gray-deep",
    crop: Annotated[int, typer.Option(help="Pixels per side, from the middle.")] = 128,
    count: Annotated[int | None, typer.Option(help="Number of images; all if not given.")] = None,
    json: Json = None,
) -> None:
    """Restore every image twice at each noise level, and print the means."""
    torch.set_num_threads(1)
    prior, blur = load_model(model), read_kernel(kernel)
    paths = images_in(data)[:count] if data else [EXAMPLE_IMAGE]
    images = [read_middle(path, crop if data else min(crop, 64)) for path in paths]
    figures: dict[str, Any] = {}
    for level in LEVELS:
        found = {}
        for way in ("plain", "preconditioned"):
            with patch.object(
                least_squares, "preconditioner", least_squares.preconditioner if way != "plain" else none
            ):
                psnr, seconds = zip(
                    *(
                        restored(clean, blur, level / 255, prior, preset("deblur", level / 255))
                        for clean in images
                    ),
                    strict=True,
                )
            found[way] = {"psnr": fmean(psnr), "seconds": fmean(seconds)}
        figures[f"{level:g}"] = found
        shown = "  ".join(
            f"{way}: {value['psnr']:.2f} dB, {value['seconds']:.2f} s" for way, value in found.items()
        )
        typer.echo(f"noise {level:g}/255  {shown}")
    if json:
        settings = {"model": model, "kernel": kernel, "crop": crop}
        write_json(json, {"settings": settings, "images": [path.name for path in paths], "figures": figures})


def none(*_: object) -> None:
    """Return no preconditioner."""


if __name__ == "__main__":
    typer.run(main)
