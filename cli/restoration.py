"""Restoring one file: the part that `gradprox deblur`, `denoise` and `recover` share."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gradprox.cli.groups import ANY_NOISE, Tuning
from gradprox.cli.jobs import Record, Work, outcome, save
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.images import ImageData
    from gradprox.noise import SignalNoise
    from gradprox.priors import LearnedProx
    from gradprox.solvers import Restorer, Result

UNKNOWN_LOSSES = (
    "the file was compressed with losses of unknown size, so the estimate of its noise may be far too low: give "
    "--noise if the result shows artifacts"
)
# Reads a file, restores it and tells of its progress; returns the image and the figures to report.
Restore = Callable[[Path, Watch], tuple["ImageData", Record]]


@dataclass(frozen=True, kw_only=True)
class Restoration(ABC):
    """A job (`gradprox.cli.jobs.Job`) that restores each file with a model.

    Attributes:
        model: the model, and where it runs.
        tuning: the settings of the solver.
        task: the solver's task, a value of `gradprox.solvers.presets.Task`; None for one pass of the model.
        name: the name of the command, for a report.
        reported: the names of the attributes that a report lists as settings.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    tuning: Tuning = field(default_factory=Tuning)
    task: ClassVar[str | None] = None
    name: ClassVar[str]
    reported: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def restorer(self, priors: Priors) -> Restore:
        """Return the function that reads and restores one file.

        Raises:
            InputError: a setting is unusable.
        """

    def preset(self, noise: float) -> Restorer:
        """Return the solver for measurements with noise of standard deviation ``noise``."""
        assert self.task is not None  # noqa: S101  restorations of one pass ask for no solver
        return self.tuning.preset(self.task, noise)

    def solved(self, prior: LearnedProx, restorer: Restorer, result: Result) -> Record:
        """Return the record of one image that a solver restored, for a report."""
        return {"model": prior.name, **restorer.settings(prior), **outcome(result)}

    def describe(self) -> dict[str, Any]:
        """Return the task, the named model (None: the default for each image), and the settings, for a report."""
        settings = {name: value for name, value in dataclasses.asdict(self).items() if name in self.reported}
        if self.task is not None:
            settings |= dataclasses.asdict(self.tuning)
        return {
            "task": self.name,
            "model": self.model.model,
            "settings": settings | {"provider": self.model.provider},
        }

    @property
    def steps(self) -> int:
        """The most steps that one file takes."""
        return 1 if self.task is None else self.preset(ANY_NOISE).max_iter

    def open(self) -> Work:
        """Load the model, and return the function that works on one file.

        Raises:
            InputError: a setting is unusable.
        """
        if self.task is not None:
            self.preset(ANY_NOISE)  # refuses unusable settings before any file is read
        priors = Priors(
            self.model,
            for_solver=self.task is not None,
            prox=self.task is not None and self.tuning.needs_prox,
        )
        if self.task is not None:
            self.tuning.check_model(self.task, priors.named)
        restore = self.restorer(priors)

        def work(source: Path, target: Path, show: Watch) -> Record:
            priors.follow(show.piece)
            image, record = restore(source, show)
            return record | save(target, image)

        return work


def level_of(image: ImageData, given: float | None, *, linear_light: bool = False) -> tuple[float, Record]:
    """Return the noise level of an image, and the figures and warnings to report.

    Args:
        image: from a file.
        given: the level of ``--noise``; None to estimate it.
        linear_light: whether the level is that of linear light.

    Raises:
        InputError: the image is too small for an estimate.
    """
    from gradprox.images.noise_estimation import compression_error, estimate_image_noise

    if given is not None:
        error = compression_error(image, linear_light=linear_light)
        return given, {"warnings": [too_low(given, error)]} if given < error / 2 else {}
    try:
        estimate = estimate_image_noise(image, linear_light=linear_light)
    except InputError as error:
        raise InputError(f"{error} by --noise") from error
    record: Record = {"estimated_noise": estimate.level}
    if estimate.compression:
        record["compression_error"] = estimate.compression
    elif image.metadata.encoding.lossy:
        record["warnings"] = [UNKNOWN_LOSSES]
    return estimate.level, record


def noise_of(
    image: ImageData, given: float | SignalNoise | None, *, constant: bool
) -> tuple[float | SignalNoise, Record]:
    """Return the noise of an image, and the figures and warnings to report.

    An estimate is a constant level, unless the variance clearly follows the signal. Files that were compressed with
    losses always have a constant level: their errors depend on texture, not on brightness.

    Args:
        image: from a file.
        given: the value of ``--noise``; None to estimate it.
        constant: whether to estimate a constant level in any case.

    Raises:
        InputError: the image is too small for an estimate.
    """
    from gradprox.noise import SignalNoise, estimate_gain

    if isinstance(given, SignalNoise):
        return given, {}
    level, record = level_of(image, given)
    encoding = image.metadata.encoding
    if given is not None or constant or encoding.lossy or encoding.luma_steps is not None:
        return level, record
    try:
        found = estimate_gain(image.pixels)
    except InputError:  # nothing to tell gain and read noise by
        return level, record
    if not found.is_clear:
        return level, record
    return SignalNoise(found.gain, found.read), {"estimated_gain": found.gain, "estimated_read": found.read}


def too_low(noise: float, error: float) -> str:
    """Return the warning that JPEG compression changed an image by more than the given noise."""
    return (
        f"--noise {255 * noise:.2f}/255 is below the error of JPEG compression, about {255 * error:.2f}/255: the "
        "result may show its blocks; leave --noise out to estimate both"
    )
