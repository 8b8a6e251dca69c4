"""``gradprox-runtime deblur``: undo a blur that is known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import option_values, options
from gradprox.cli.frames import CHANNELS, TOGETHER, Channels, Frames, Restored
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Work, run_batch
from gradprox.cli.linear_light import light_of
from gradprox.cli.meter import Watch
from gradprox.cli.noise_levels import level_of
from gradprox.cli.paths import readable_suffixes
from gradprox.cli.runtime.models import ModelChoice, Models
from gradprox.cli.runtime.tuning import Tuning, outcome
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.export.runtime import OnnxSolver
    from gradprox.images import ImageData

# A smaller share of clipped pixels changes nothing visible.
VISIBLE_SHARE = 0.001
CLIPPED = "{:.1%} of the pixels are white or black, so lamps may ring: the file {}"
Clipping = Annotated[
    bool,
    typer.Option(
        "--clipping/--no-clipping",
        help="Take white and black pixels as clipped: white may have been brighter, and black darker. For images of 8 "
        "or 16 bits.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Deblurring:
    """A job (`gradprox.cli.jobs.Job`) that undoes the same blur in each image.

    Attributes:
        kernel: the value of ``--kernel``.
        noise: standard deviation of the noise, in light if ``linear_light``; estimated from each image if None.
        linear_light: whether to convert sRGB values to light first, because light was blurred; None for photos of a
            camera (`gradprox.cli.linear_light`).
        clipping: whether white and black pixels may have been clipped.
        channels: the value of ``--channels``.
        resume: whether to go on with the finished images of interrupted stacks.
        tuning: the settings of the preset.
        model: the model, and where it runs.
    """

    kernel: str
    noise: float | None = None
    linear_light: bool | None = None
    clipping: bool = True
    channels: str = TOGETHER
    resume: bool = False
    tuning: Tuning = field(default_factory=Tuning)
    model: ModelChoice = field(default_factory=ModelChoice)
    steps = 1
    costs = None

    def describe(self) -> dict[str, Any]:
        """Return the task, the model and the settings, for a report."""
        told = ("kernel", "noise", "linear_light", "clipping", "channels")
        settings = {name: getattr(self, name) for name in told}
        settings |= dataclasses.asdict(self.tuning) | {"provider": self.model.provider}
        return {"task": "deblur", "model": self.model.model, "settings": settings}

    def open(self, threads: int | None = None) -> Work:
        """Load the model and the kernel, and return the function that works on one file.

        Raises:
            InputError: a setting is unusable.
        """
        from gradprox.export.runtime.solver import AS_THEY_ARE
        from gradprox.images import check_scale
        from gradprox.images.srgb import to_display, to_linear_light
        from gradprox.kernels import read_kernel

        kernel = read_kernel(self.kernel)
        models = Models(self.model, "deblur", partial(load_deblurring, threads=threads))

        def restore(image: ImageData, source: Path, _: Watch) -> Restored:
            check_scale(image.array, source)  # as stored: light passes the limit sooner
            light, choice = light_of(image, self.linear_light, noise_given=self.noise is not None)
            pixels = to_linear_light(image.array) if light else image.array
            level, record = level_of(image, self.noise, linear_light=light)
            name, solver = models.of(pixels.shape[1])
            share = image.clipped_share() if self.clipping else 0.0
            clipping = share > 0 and solver.takes_clipping
            result = self.tuning.run(solver, pixels, kernel, noise=level, clipping=clipping)
            restored = to_display(result.x) if light else result.x
            record |= choice | {"model": name, "solver": solver.algorithm, **outcome(result)}
            if clipping:
                record["clipped_pixels"] = share
            elif share >= VISIBLE_SHARE:
                record["warnings"] = [*record.get("warnings", ()), CLIPPED.format(share, AS_THEY_ARE)]
            return Restored(image.with_pixels(restored), record)

        return Frames(self.channels, self.resume, self.describe()).work(restore)


def load_deblurring(path: Path, *, threads: int | None = None, **where: Any) -> OnnxSolver:
    """Load a file that deblurs.

    Raises:
        InputError: the file does something else, or cannot be used.
    """
    from gradprox.export.runtime import OnnxSolver

    solver = OnnxSolver(path, threads=threads, **where)
    if solver.problem != "deblur":
        raise InputError(f"{path}: its solver is for compressed sensing, not for deblurring")
    return solver


def deblur(
    images: options.Images,
    output: options.Output,
    kernel: options.Kernel = None,
    noise: options.EstimatedNoise = None,
    linear_light: options.LinearLight = None,
    clipping: Clipping = True,
    channels: Channels = TOGETHER,
    *,
    tuning: Tuning,
    model: ModelChoice,
    batch: Batch,
) -> None:
    """Deblur photos.

    The kernel is the blurred image of a single point of light (the point spread function). Describe it as gaussian,
    motion or disk, or give a file with a measured kernel. The solver is the preset in the model's file. The shipped
    files do what `gradprox deblur --model gray-fast` does.

    Examples:
      gradprox-runtime deblur photo.jpg --kernel gaussian:1.6 --noise 0.01 -o sharp.png
      gradprox-runtime deblur 'shots/*.png' --kernel motion:15:45 -o restored --resume
    """
    option_values.check_choice("--channels", channels, CHANNELS)
    chosen = option_values.require_kernel(kernel)
    if chosen.partition(":")[0] == "auto":
        raise InputError(
            f"--kernel {chosen}: only gradprox estimates kernels: give a description, or a file of `gradprox "
            "estimate-kernel`"
        )
    option_values.check_kernel(chosen)
    job = Deblurring(
        kernel=chosen,
        noise=option_values.parse_given_level(noise),
        linear_light=linear_light,
        clipping=clipping,
        channels=channels,
        resume=batch.resume,
        tuning=tuning,
        model=model,
    )
    run_batch(job, images, output, batch, read=readable_suffixes())
