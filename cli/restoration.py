"""Restoring one file: the part that `gradprox deblur`, `denoise` and `recover` share."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gradprox.cli.error_maps import CHAINS, ERROR_MAP, ErrorMaps, FindDeviations
from gradprox.cli.frames import TOGETHER, Frames, RestoreImage
from gradprox.cli.jobs import Record, Work
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import ModelChoice, Priors, resolve_device, use_threads
from gradprox.cli.tuning import ANY_NOISE, Tuning

if TYPE_CHECKING:
    from deepinv.optim import DataFidelity
    from deepinv.physics import LinearPhysics
    from torch import Tensor

    from gradprox.posterior import SampledDeviation
    from gradprox.priors import LearnedProx
    from gradprox.solvers import Restorer, Result


# Measured costs of the steps of deblurring, relative to the first: of the last one in a continuation, of the first one
# of the last solver, which evaluates its start too, and of the others of this solver.
SINGLE_COSTS = (0.95, 2.1, 1.1)
# The same with a continuation in mixed precision.
MIXED_COSTS = (0.95, 2.95, 1.6)


@dataclass(frozen=True, kw_only=True)
class Restoration(ABC):
    """A job (`gradprox.cli.jobs.Job`) that restores each file with a model.

    Attributes:
        model: the model, and where it runs.
        tuning: the settings of the solver.
        maps: which files get a map of their uncertainty.
        task: the solver's task, a value of `gradprox.solvers.presets.Task`; None for one pass of the model.
        name: the name of the command, for a report.
        reported: the names of the attributes that a report lists as settings.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    tuning: Tuning = field(default_factory=Tuning)
    maps: ErrorMaps = field(default_factory=ErrorMaps)
    task: ClassVar[str | None] = None
    name: ClassVar[str]
    reported: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def work(self, priors: Priors) -> Work:
        """Return the function that restores one file.

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

    def deviations(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: LearnedProx,
        noise: float,
        result: Result,
        fidelity: DataFidelity | None = None,
    ) -> FindDeviations:
        """Return the function that estimates the deviations of an image that a solver restored.

        The arguments are those of `gradprox.posterior.restoration_deviation`.
        """
        from gradprox.posterior import Posterior, restoration_deviation, sampled_deviation
        from gradprox.solvers.discrepancy import DiscrepancyResult

        chosen = result.strength if isinstance(result, DiscrepancyResult) else self.tuning.factor
        assert self.task is not None  # noqa: S101  restorations of one pass have no result of a solver
        assert chosen is not None  # noqa: S101  a discrepancy preset returns its strength
        problem = (y, physics, prior, noise)
        given: Record = {"strength": chosen, "fidelity": fidelity}
        samples, burn_in = self.maps.samples, self.maps.burn_in
        if samples is None:
            return functools.partial(restoration_deviation, self.task, result.x, *problem, **given)
        posterior = Posterior.of_preset(self.task, *problem, **given)

        def sample(*, report: Callable[[float], None]) -> SampledDeviation:
            return sampled_deviation(
                posterior,
                result.x,
                chains=CHAINS,
                burn_in=burn_in,
                samples=samples,
                report=lambda state: report(float(state.steps) / (burn_in + samples)),
            )

        return sample

    def second_part(self, priors: Priors, show: Watch) -> Callable[[float], None]:
        """Return the report of the finished share of a map, after the steps of the solver."""
        priors.follow(None)  # many passes, which a map reports itself
        before = self.steps - self.maps.steps
        return lambda share: show.finished((before + share * self.maps.steps) / self.steps, ERROR_MAP)

    def describe(self) -> dict[str, Any]:
        """Return the task, the named model (None: the default for each image), and the settings, for a report."""
        settings = {name: value for name, value in dataclasses.asdict(self).items() if name in self.reported}
        if self.task is not None:
            settings |= self.tuning.describe()
        return {
            "task": self.name,
            "model": self.model.model,
            "settings": settings | {"provider": self.model.provider},
        }

    @property
    def steps(self) -> int:
        """The most steps that one file takes."""
        return 1 if self.task is None else self.preset(ANY_NOISE).max_iter + self.maps.steps

    @property
    def costs(self) -> list[float] | None:
        """The relative costs of the steps of one file; None if they are alike."""
        if self.task is None:
            return None
        return step_costs(self.preset(ANY_NOISE), mixed=self._mixes_precisions) + [1.0] * self.maps.steps

    @property
    def _mixes_precisions(self) -> bool:
        """Whether a warm start computes in bfloat16, as far as the options tell."""
        from gradprox.solvers.mixed_precision import computes_in_bfloat16
        from gradprox.zoo import default_model, model_names, read_card

        model = self.model.model or default_model(1)
        tolerant = model in model_names() and not read_card(model).is_prox
        return (
            tolerant
            and self.tuning.settings.get("mixed_precision", False)
            and computes_in_bfloat16(resolve_device(self.model.device))
        )

    def open(self, threads: int | None = None) -> Work:
        """Load the model, and return the function that works on one file; see `gradprox.cli.jobs.Job`.

        Raises:
            InputError: a setting is unusable.
        """
        use_threads(threads)
        self.maps.check_model(self.model)
        if self.task is not None:
            self.preset(ANY_NOISE)  # refuses unusable settings before any file is read
        priors = Priors(
            self.model,
            for_solver=self.task is not None,
            prox=self.task is not None and self.tuning.needs_prox,
        )
        if self.task is not None:
            self.tuning.check_model(self.task, priors.named)
        work = self.work(priors)

        def checked(source: Path, target: Path, show: Watch) -> Record:
            self.maps.check_target(source)
            return work(source, target, show)

        return checked


@dataclass(frozen=True, kw_only=True)
class ImageRestoration(Restoration):
    """A `Restoration` of image files, stacks included.

    Attributes:
        channels: the value of ``--channels``.
        resume: whether to go on with the finished images of interrupted stacks.
    """

    channels: str = TOGETHER
    resume: bool = False

    @abstractmethod
    def restorer(self, priors: Priors) -> RestoreImage:
        """Return the function that restores one image.

        Raises:
            InputError: a setting is unusable.
        """

    def single(self) -> Mapping[Path, str]:
        """Return why some files must hold one image only, by file."""
        return {}

    def work(self, priors: Priors) -> Work:
        """Return the function that restores every image of a file."""
        frames = Frames(self.channels, self.resume, self.describe(), self.maps.files, self.single())
        return frames.work(self.restorer(priors))


def step_costs(restorer: Restorer, *, mixed: bool) -> list[float]:
    """Return the relative costs of the steps of a solver, perhaps with a warm start in mixed precision."""
    from gradprox.solvers import Continuation
    from gradprox.solvers.presets import Preset

    warm_start = restorer.warm_start if isinstance(restorer, Preset) else ()
    if len(warm_start) != 1 or not isinstance(warm_start[0], Continuation):
        return [1.0] * restorer.max_iter
    count = warm_start[0].max_iter
    last, first_final, final = MIXED_COSTS if mixed else SINGLE_COSTS
    falling = [1 + (last - 1) * step / max(1, count - 1) for step in range(count)]
    return [*falling, first_final, *[final] * (restorer.max_iter - count - 1)]


def outcome(result: Result) -> Record:
    """Return a solver's record of one image, for a report."""
    from gradprox.solvers.discrepancy import DiscrepancyResult

    chosen = (
        {"strength": result.strength, "misfit": result.misfit}
        if isinstance(result, DiscrepancyResult)
        else {}
    )
    return chosen | {
        "steps": int(result.steps[0]),
        "warm_start_steps": int(result.warm_start_steps[0]),
        "status": result.status[0].value,
        "objective_increases": int(result.objective_increases[0]),
    }
