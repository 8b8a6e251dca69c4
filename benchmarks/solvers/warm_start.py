"""The length and the momentum of the warm start of deblurring: PSNR and time of the preset with other ones.

    python benchmarks/solvers/warm_start.py --data FOLDER --kernel disk:3 --json warm-start.json

Photos are blurred beyond their frame. Figures are means over the images, relative to twelve noise levels without
momentum; seconds are processor time of the whole preset. Every way denoises mirror images in turn.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
import typer
from photos import all_restored, read_photos
from shared_options import Count, Crop, Data, Json, Kernel, Model

from gradprox import load_model
from gradprox.files import write_json
from gradprox.physics import read_kernel
from gradprox.solvers import Continuation
from gradprox.solvers.presets import Preset, preset

# Noise levels, of 255.
LEVELS = (2.55, 7.65)
# Numbers of noise levels with a momentum. The first are the reference.
WAYS = ((12, 0.0), (12, 0.3), (10, 0.0), (10, 0.3), (10, 0.4), (8, 0.3))


def with_warm_start(noise: float, steps: int, momentum: float) -> Preset:
    """Return the preset of deblurring with a warm start of this length and momentum."""
    chosen = preset("deblur", noise)
    (start,) = chosen.warm_start
    assert isinstance(start, Continuation)  # noqa: S101  for mypy
    return replace(chosen, warm_start=(replace(start, max_iter=steps, momentum=momentum),))


def main(
    data: Data = None,
    kernel: Kernel = "motion:9:30",
    model: Model = "gray-deep",
    crop: Crop = 128,
    count: Count = None,
    json: Json = None,
) -> None:
    """Restore every image with every warm start, and print the means."""
    torch.set_num_threads(1)
    prior, blur = load_model(model), read_kernel(kernel)
    paths, images = read_photos(data, crop, count)
    figures: dict[str, Any] = {}
    for level in LEVELS:
        found: dict[str, Any] = {}
        reference: list[float] = []
        for steps, momentum in WAYS:
            restorer = with_warm_start(level / 255, steps, momentum)
            psnr, seconds = all_restored(images, blur, level / 255, prior, restorer)
            reference = reference or psnr
            gains = [new - old for new, old in zip(psnr, reference, strict=True)]
            found[f"{steps} levels, momentum {momentum:g}"] = {
                "psnr": fmean(psnr),
                "gain": fmean(gains),
                "least_gain": min(gains),
                "seconds": seconds,
            }
        figures[f"{level:g}"] = found
        for way, value in found.items():
            typer.echo(
                f"noise {level:g}/255  {way}: {value['psnr']:.2f} dB ({value['gain']:+.2f}, least "
                f"{value['least_gain']:+.2f}), {value['seconds']:.2f} s"
            )
    if json:
        settings = {"model": model, "kernel": kernel, "crop": crop}
        write_json(json, {"settings": settings, "images": [path.name for path in paths], "figures": figures})


if __name__ == "__main__":
    typer.run(main)
