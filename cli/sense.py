"""``gradprox sense``: measure a picture by compressed sensing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradprox.cli import options
from gradprox.cli.batch import check_absent, write_json
from gradprox.cli.terminal import console


def sense(
    image: Annotated[Path, typer.Argument(help="The picture to measure.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .npz file of measurements.", show_default=False)
    ],
    sampling: options.Sampling = "hadamard",
    ratio: options.Ratio = 0.25,
    noise: options.Noise = "0",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Measure a picture by compressed sensing.

    The file holds the measurements and how they were made, not the picture: `gradprox recover` needs no more.

    Example: gradprox sense photo.png --ratio 0.25 --sampling hadamard -o y.npz
    """
    level = options.parse_level(noise)
    check_absent(output, overwrite)

    import torch

    from gradprox.images import read_picture
    from gradprox.problems import Sensing, gaussian_noise, write_measurements

    pixels = read_picture(image).pixels
    size = (pixels.shape[-2], pixels.shape[-1])
    sensing = Sensing.described(sampling, ratio, size, pixels.shape[1], seed, level)
    y = sensing.physics().A(pixels)
    y = y + gaussian_noise(y, level, torch.Generator().manual_seed(seed))
    write_measurements(output, y, sensing)
    if not quiet:
        share = y.numel() / pixels.numel()
        console().print(f"{image} -> {output}  {y.numel()} numbers for {pixels.numel()} pixels ({share:.0%})")
    if json:
        write_json(json, {"output": str(output), **sensing.sampling.model_dump(mode="json")})
