"""``gradprox sense``: measure an image by compressed sensing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gradprox.cli import option_values, options
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record, Work, run_batch
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import use_threads
from gradprox.cli.paths import readable_suffixes


@dataclass(frozen=True)
class Measuring:
    """The same sampling of each image (a `gradprox.cli.jobs.Job`).

    Attributes:
        sampling: the value of ``--sampling``.
        ratio: measurements per pixel.
        noise: standard deviation of the noise that is added to the measurements.
        seed: seed of the patterns and the noise.
    """

    sampling: str
    ratio: float
    noise: float
    seed: int
    steps = 1
    costs = None

    def describe(self) -> dict[str, Any]:
        """Return the task and its settings."""
        return {"task": "sense", "settings": dataclasses.asdict(self)}

    def open(self, threads: int | None = None) -> Work:
        """Return the function that measures one image.

        Raises:
            InputError: the sampling or the ratio is unusable for any image.
        """
        import torch

        from gradprox.images import check_scale, read_image
        from gradprox.physics import Sensing, gaussian_noise, write_measurements

        use_threads(threads)
        # Refuses unusable settings once, before the first image.
        Sensing.described(self.sampling, self.ratio, (1, 1), 1, self.seed, self.noise)

        def work(source: Path, target: Path, _: Watch) -> Record:
            pixels = read_image(source).pixels
            check_scale(pixels, source)
            size = (pixels.shape[-2], pixels.shape[-1])
            sensing = Sensing.described(
                self.sampling, self.ratio, size, pixels.shape[1], self.seed, self.noise
            )
            y = sensing.physics().A(pixels)
            y = y + gaussian_noise(y, self.noise, torch.Generator().manual_seed(self.seed))
            write_measurements(target, y, sensing)
            share = y.numel() / pixels.numel()
            note = f"measurements: {y.numel()}, {share:.0%} of the {pixels.numel()} values of the image"
            return {"note": note, **sensing.sampling.model_dump(mode="json")}

        return work


def sense(
    images: options.Images,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The .npz file to write, or a folder for several images. A name that ends in a slash is a folder.",
            show_default=False,
        ),
    ],
    sampling: options.Sampling = "hadamard",
    ratio: options.Ratio = 0.25,
    noise: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            help="Add Gaussian noise of this standard deviation to the measurements, for example 0.01 or 2.55/255.",
        ),
    ] = "0",
    seed: options.Seed = 0,
    *,
    batch: Batch,
) -> None:
    """Measure images by compressed sensing.

    The file contains the measurements and a description of the sampling, but not the image. `gradprox recover` needs
    only this file.

    Example:
      gradprox sense photo.png --ratio 0.25 --sampling hadamard -o y.npz
    """
    option_values.check_sampling(sampling)
    job = Measuring(sampling, ratio, option_values.parse_level(noise), seed)
    run_batch(job, images, output, batch, read=readable_suffixes(), write=".npz")
