"""``gradprox deblur``: undo a known blur."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gradprox.cli import options
from gradprox.cli.batch import Record, Work, outcome, run_batch

if TYPE_CHECKING:
    from gradprox.solvers import Callback
    from gradprox.solvers.balanced import BalancedPreset
    from gradprox.solvers.presets import Preset


@dataclass(frozen=True)
class Deblurring:
    """Undoing the same blur in each picture.

    Attributes:
        kernel: as of ``--kernel``.
        noise: standard deviation on the scale of the picture, of its light for ``linear_light``; estimated from each
            picture if None.
        boundary: one of `gradprox.problems.BOUNDARIES`.
        linear_light: whether the blur was one of light, and the picture stores it by the sRGB curve.
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
        """The step budget; see `gradprox.cli.batch.Job`."""
        return self.algorithm(self.noise or 0.0).max_steps

    def algorithm(self, noise: float) -> Preset | BalancedPreset:
        """Return the solver for a picture with that noise; see `gradprox.cli.options.Tuning`."""
        from gradprox.solvers.presets import Task

        return self.tuning.preset(Task.DEBLUR, noise)

    def open(self) -> Work:
        """Load model and kernel; see `gradprox.cli.batch.Job`."""
        from gradprox.images import read_picture, write_picture
        from gradprox.light import to_display, to_linear_light
        from gradprox.problems import BOUNDARIES, read_kernel
        from gradprox.solvers.deblurring import deblur_pictures

        options.check_choice("--boundary", self.boundary, BOUNDARIES)
        self.algorithm(self.noise or 0.0)
        blur = read_kernel(self.kernel)
        priors = options.Priors(self.model)

        def work(source: Path, target: Path, show: Callback) -> Record:
            picture = read_picture(source)
            pixels = to_linear_light(picture.pixels) if self.linear_light else picture.pixels
            level, record = options.level_of(pixels, self.noise)
            restored, result = deblur_pictures(
                pixels.to(priors.device),
                blur.to(priors.device),
                priors.of(pixels.shape[1]),
                self.algorithm(level),
                boundary=self.boundary,
                callback=show,
            )
            restored = to_display(restored) if self.linear_light else restored
            write_picture(target, picture.with_pixels(restored.cpu()))
            return record | outcome(result)

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

    from gradprox.images import PICTURE_SUFFIXES

    run_batch(
        job,
        images,
        output,
        read=PICTURE_SUFFIXES,
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        quiet=quiet,
        report=json,
    )
