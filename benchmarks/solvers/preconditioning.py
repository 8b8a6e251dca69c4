"""What the preconditioner of valid blur gains: PSNR and time of the preset, with and without it.

    python benchmarks/solvers/preconditioning.py --data SET12 --kernel Levin09.npz:k2 --json preconditioning.json

Photos are blurred beyond their frame. ``plain`` fits take at most 40 iterations of conjugate gradients,
``preconditioned`` ones as many as they need. PSNR is that of the frame of the photo; seconds are processor time of the
whole preset.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any
from unittest.mock import patch

import torch
import typer
from photos import all_restored, read_photos
from shared_options import Count, Crop, Data, Json, Kernel, Model

from gradprox import load_model
from gradprox.files import write_json
from gradprox.physics import read_kernel
from gradprox.solvers import least_squares
from gradprox.solvers.presets import preset

# Noise levels, of 255.
LEVELS = (0.5, 2.55, 7.65)


def main(
    data: Data = None,
    kernel: Kernel = "motion:9:30",
    model: Model = "gray-deep",
    crop: Crop = 128,
    count: Count = None,
    json: Json = None,
) -> None:
    """Restore every image twice at each noise level, and print the means."""
    torch.set_num_threads(1)
    prior, blur = load_model(model), read_kernel(kernel)
    paths, images = read_photos(data, crop, count)
    figures: dict[str, Any] = {}
    for level in LEVELS:
        found = {}
        for way in ("plain", "preconditioned"):
            # No physics is of the type of None.
            solves_fits = least_squares.SolvesFits if way == "preconditioned" else type(None)
            with patch.object(least_squares, "SolvesFits", solves_fits):
                restorer = preset("deblur", level / 255)
                psnr, seconds = all_restored(images, blur, level / 255, prior, restorer)
            found[way] = {"psnr": fmean(psnr), "seconds": seconds}
        figures[f"{level:g}"] = found
        shown = "  ".join(
            f"{way}: {value['psnr']:.2f} dB, {value['seconds']:.2f} s" for way, value in found.items()
        )
        typer.echo(f"noise {level:g}/255  {shown}")
    if json:
        settings = {"model": model, "kernel": kernel, "crop": crop}
        write_json(json, {"settings": settings, "images": [path.name for path in paths], "figures": figures})


if __name__ == "__main__":
    typer.run(main)
