"""``gradprox denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradprox.cli import options
from gradprox.cli.batch import plan_outputs, restore_files

if TYPE_CHECKING:
    from gradprox.images import Picture
    from gradprox.solvers import Callback


def denoise(
    images: options.Images,
    noise: options.Noise,
    output: options.Output,
    model: options.Model = "gray",
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Remove Gaussian noise: one pass of the learned prox.

    Example: gradprox denoise noisy.png --noise 25/255 -o clean.png
    """
    level = options.parse_level(noise)
    pairs = plan_outputs(images, output, overwrite)
    prior, place = options.open_model(model, device)

    import torch

    @torch.no_grad()
    def restore(picture: Picture, _: Callback) -> tuple[Picture, None]:
        return picture.with_pixels(prior(picture.pixels.to(place), level).cpu()), None

    restore_files(pairs, restore, 1, quiet=quiet, report=json)
