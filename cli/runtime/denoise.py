"""``gradprox-runtime denoise``: remove Gaussian noise in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprox.cli import option_values, options
from gradprox.cli.frames import CHANNELS, TOGETHER, Channels, Frames, Restored
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Work, run_batch
from gradprox.cli.meter import Watch
from gradprox.cli.noise_levels import level_of
from gradprox.cli.paths import readable_suffixes
from gradprox.cli.runtime.models import ModelChoice, Models

if TYPE_CHECKING:
    from gradprox.images import ImageData


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """A job (`gradprox.cli.jobs.Job`) that denoises each image.

    Attributes:
        noise: standard deviation of the noise, where white is 1; estimated from each image if None.
        channels: the value of ``--channels``.
        resume: whether to go on with the finished images of interrupted stacks.
        model: the model, and where it runs.
    """

    noise: float | None = None
    channels: str = TOGETHER
    resume: bool = False
    model: ModelChoice = field(default_factory=ModelChoice)
    steps = 1
    costs = None

    def describe(self) -> dict[str, Any]:
        """Return the task, the model and the settings, for a report."""
        settings = {"noise": self.noise, "channels": self.channels, "provider": self.model.provider}
        return {"task": "denoise", "model": self.model.model, "settings": settings}

    def open(self, threads: int | None = None) -> Work:
        """Load the model, and return the function that denoises one file; see `gradprox.cli.jobs.Job`."""
        from gradprox.export.runtime import OnnxDenoiser
        from gradprox.images import check_scale

        models = Models(self.model, "denoise", partial(OnnxDenoiser, threads=threads))

        def restore(image: ImageData, source: Path, show: Watch) -> Restored:
            check_scale(image.array, source)
            level, record = level_of(image, self.noise)
            name, denoiser = models.of(image.array.shape[1])
            clean = denoiser(image.array, level, callback=show.piece)
            return Restored(image.with_pixels(clean), record | {"model": name})

        return Frames(self.channels, self.resume, self.describe()).work(restore)


def denoise(
    images: options.Images,
    output: options.Output,
    noise: options.EstimatedNoise = None,
    channels: Channels = TOGETHER,
    *,
    model: ModelChoice,
    batch: Batch,
) -> None:
    """Remove Gaussian noise from images, in one pass of a model.

    The noise level is estimated from each image unless --noise gives it.

    Examples:
      gradprox-runtime denoise noisy.png --noise 25/255 -o clean.png
      gradprox-runtime denoise shots --workers 2 -o clean
    """
    option_values.check_choice("--channels", channels, CHANNELS)
    job = Denoising(
        noise=option_values.parse_given_level(noise), channels=channels, resume=batch.resume, model=model
    )
    run_batch(job, images, output, batch, read=readable_suffixes())
