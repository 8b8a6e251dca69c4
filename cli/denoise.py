"""``gradprox denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import option_values, options
from gradprox.cli.error_maps import ERROR_MAP, ErrorMaps
from gradprox.cli.frames import CHANNELS, TOGETHER, Channels, Restored, RestoreImage
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record, run_batch
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.paths import readable_suffixes
from gradprox.cli.restoration import ImageRestoration
from gradprox.cli.signal_noise import noise_of, parse_noise
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.images import ImageData
    from gradprox.signal_noise import SignalNoise


@dataclass(frozen=True, kw_only=True)
class Denoising(ImageRestoration):
    """One pass of the model over each image.

    Attributes:
        noise: standard deviation of the noise, where white is 1, or its gain and read noise; estimated from each image
            if None.
    """

    noise: float | SignalNoise | None = None
    name = "denoise"
    reported = ("noise", "channels")

    def restorer(self, priors: Priors) -> RestoreImage:
        """Return the function that denoises one image."""
        import torch

        from gradprox.images import ImageData, check_scale
        from gradprox.noise import StabilizedDenoiser
        from gradprox.priors import posterior_deviation
        from gradprox.signal_noise import SignalNoise

        @torch.no_grad()
        def restore(image: ImageData, source: Path, show: Watch) -> Restored:
            priors.follow(show.piece)
            mapped = source in self.maps.files
            check_scale(image.pixels, source)
            noise, record = noise_of(image, self.noise, constant=mapped)
            prior, noisy = priors.of(image.pixels.shape[1]), image.pixels.to(priors.device)
            record |= {"model": prior.name}
            if isinstance(noise, SignalNoise):
                clean = StabilizedDenoiser(prior, noise.gain, noise.read)(noisy)
                return Restored(image.with_pixels(clean.cpu()), record)

            def draw() -> tuple[ImageData, Record]:
                priors.follow(None)  # fifty passes over each part of the image
                report = functools.partial(show.finished, what=ERROR_MAP)
                found = posterior_deviation(prior, noisy, noise, halo=prior.network.radius, report=report)
                # White is as uncertain as the noisy pixel itself.
                return ImageData((found.deviation / noise).cpu()), {
                    "mean_deviation": float(found.deviation.mean()),
                    "mean_deviation_error": float(found.error.mean()),
                }

            clean = image.with_pixels(prior(noisy, noise).cpu())
            return Restored(clean, record, draw if mapped else None)

        return restore


def denoise(
    images: options.Images,
    output: options.Output,
    noise: options.EstimatedSignalNoise = None,
    uncertainty: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Also write an image of the uncertainty: the posterior standard deviation of each pixel, where white "
            "is the noise level. A file, or a folder for several images. Takes about 50 times as long.",
            show_default=False,
        ),
    ] = None,
    channels: Channels = TOGETHER,
    *,
    model: ModelChoice,
    batch: Batch,
) -> None:
    """Remove Gaussian noise from images, in one pass of a model.

    The noise level is estimated from each image unless --noise gives it. Where the variance clearly follows the
    brightness, as in raw data of cameras, gain and read noise are estimated instead.

    Examples:
      gradprox denoise noisy.png --noise 25/255 -o clean.png
      gradprox denoise shots --workers 2 -o clean
      gradprox denoise noisy.png -o clean.png --uncertainty uncertain.png
    """
    option_values.check_choice("--channels", channels, CHANNELS)
    given = parse_noise(noise)
    if uncertainty is not None:
        if given == 0:
            raise InputError("--uncertainty: without noise there is none; give the --noise of the image")
        if given is not None and not isinstance(given, float):
            raise InputError("--uncertainty: it needs a constant noise level: give --noise as a number")
    maps = ErrorMaps.beside(images, output, uncertainty, batch)
    job = Denoising(noise=given, model=model, maps=maps, channels=channels, resume=batch.resume)
    run_batch(job, images, output, batch, read=readable_suffixes(), beside=maps.files)
