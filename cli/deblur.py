"""``gradprox deblur``: undo a known blur."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gradprox.cli import options
from gradprox.cli.jobs import Record, Work, outcome, run_batch, save

if TYPE_CHECKING:
    from gradprox.solvers import Callback
    from gradprox.solvers.discrepancy import DiscrepancyPreset
    from gradprox.solvers.presets import Preset


@dataclass(frozen=True)
class Deblurring:
    """Undoing the same blur in each image.

    Attributes:
        kernel: as of ``--kernel``.
        noise: standard deviation on the scale of the image, of its light for ``linear_light``; estimated from each
            image if None.
        boundary: one of `gradprox.physics.BOUNDARIES`.
        linear_light: whether the blur was one of light, and the image stores it by the sRGB curve.
        tuning: of the solver.
        model: which, and what runs it.
    """

    kernel: str
    noise: float | None = None
    boundary: str = "valid"
    linear_light: bool = False
    tuning: options.Tuning = field(default_factory=options.Tuning)
    model: options.ModelChoice = field(default_factory=options.ModelChoice)

    @property
    def steps(self) -> int:
        """The step budget; see `gradprox.cli.jobs.Job`."""
        return self.algorithm(self.noise or 0.0).max_iter

    def algorithm(self, noise: float) -> Preset | DiscrepancyPreset:
        """Return the solver for an image with that noise; see `gradprox.cli.options.Tuning`."""
        from gradprox.solvers.presets import Task

        return self.tuning.preset(Task.DEBLUR, noise)

    def open(self) -> Work:
        """Load model and kernel; see `gradprox.cli.jobs.Job`."""
        from gradprox.images import check_scale, read_image
        from gradprox.images.srgb import to_display, to_linear_light
        from gradprox.physics import BOUNDARIES, read_kernel
        from gradprox.solvers.deblurring import deblur_images

        options.check_choice("--boundary", self.boundary, BOUNDARIES)
        self.algorithm(self.noise or 0.0)
        blur = read_kernel(self.kernel)
        priors = options.Priors(self.model)

        def work(source: Path, target: Path, show: Callback) -> Record:
            image = read_image(source)
            check_scale(image.pixels, source)
            pixels = to_linear_light(image.pixels) if self.linear_light else image.pixels
            level, record = options.level_of(pixels, self.noise)
            restored, result = deblur_images(
                pixels.to(priors.device),
                blur.to(priors.device),
                priors.of(pixels.shape[1]),
                self.algorithm(level),
                boundary=self.boundary,
                callback=show,
            )
            restored = to_display(restored) if self.linear_light else restored
            return record | outcome(result) | save(target, image.with_pixels(restored.cpu()))

        return work


def deblur(
    images: options.Images,
    kernel: options.Kernel,
    output: options.Output,
    noise: options.EstimatedNoise = None,
    boundary: options.Boundary = "valid",
    linear_light: options.LinearLight = False,
    solver: options.Solver = None,
    strength: options.Strength = "1",
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = None,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    workers: options.Workers = 1,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Undo a known blur.

    Examples: gradprox deblur photo.jpg --kernel gaussian:1.6 --noise 0.01 -o sharp.png;
    gradprox deblur 'shots/*.png' --kernel motion:15:45 -o restored --resume
    """
    level = options.parse_given_level(noise)
    tuning = options.Tuning(solver, options.parse_strength(strength), steps, tol)
    choice = options.ModelChoice(model, device, provider, allow_fallback)
    job = Deblurring(kernel, level, boundary, linear_light, tuning, choice)

    from gradprox.images import IMAGE_SUFFIXES

    run_batch(
        job,
        images,
        output,
        read=IMAGE_SUFFIXES,
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        quiet=quiet,
        report=json,
    )
