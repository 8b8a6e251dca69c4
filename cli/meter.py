"""The progress of one file: steps done, and the share of the step that is under way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gradprox.cli.time_left import TimeLeft

if TYPE_CHECKING:
    from rich.progress import Progress

# Seconds of work before the time left is estimated, and the smallest estimate that is printed.
TRIAL, LONG = 3.0, 60.0


class Step(Protocol):
    """A finished step of a solver (`gradprox.solvers.Step`)."""

    @property
    def residual(self) -> Any:
        """The relative change of each image."""


class Watch(Protocol):
    """Receives the progress of the work on one file: a solver's callback that also follows the passes of the model."""

    def begin(self, part: int, parts: int) -> None:
        """Receive the number of the part of the work that begins, from 0, and how many equal parts there are."""

    def preparing(self, what: str, share: float) -> None:
        """Receive the finished share of work before the first step, whose time says nothing of that of the steps."""

    def __call__(self, step: Step) -> None:
        """Receive a finished step."""

    def piece(self, share: float) -> None:
        """Receive the share of an image in a tile that passed the model (`gradprox.networks.tiling.follow`)."""

    def finished(self, share: float, what: str | None = None) -> None:
        """Receive the finished share of the part, if it is known without counting passes, and what is being done."""


class Meter:
    """A task of a progress bar that follows one file; a `Watch`.

    After some seconds it prints the time left, if that is long; in a pipe too, where the bar is invisible.

    Args:
        bar: the progress bar.
        name: name of the file.
        steps: the most steps that it takes; None if that is unknown.
        quiet: whether to print nothing.
        costs: the relative costs of the steps; None if they are alike.
    """

    def __init__(
        self,
        bar: Progress,
        name: str,
        steps: int | None,
        *,
        quiet: bool,
        costs: Sequence[float] | None = None,
    ) -> None:
        self._bar, self._name, self._steps = bar, name, steps
        self._task = bar.add_task(name, total=steps, note="", ends=None)
        self._costs = [1.0] * (steps or 0) if costs is None else costs
        self._left = TimeLeft(self._costs, time.perf_counter())
        self._doing: str | None = None  # the words of `finished`
        # Time of the first report: reading comes before it.
        self._first: float | None = None
        self._done = 0
        self._part, self._parts = 0, 1
        # Passes of the model in the step under way; those of the last step predict them.
        self._passes, self._expected = 0.0, 1.0
        self._estimated = quiet or steps is None

    def begin(self, part: int, parts: int) -> None:
        """Show that a part of the work begins."""
        total = None if self._steps is None else parts * self._steps
        note = f"image {part + 1} of {parts}" if parts > 1 else ""
        if self._parts != parts:  # the parts of an earlier run would count as fast work
            self._bar.reset(self._task, total=total, completed=part * (self._steps or 1), note=note)
        self._part, self._parts, self._done, self._passes = part, parts, 0, 0.0
        self._doing = None
        self._begin(0, [*self._costs] * parts)
        self._show(0, note)

    def preparing(self, what: str, share: float) -> None:
        """Show work before the first step, beside the bar."""
        self._bar.update(self._task, note=f"{what}: {share:.0%}")
        self._begin(self._done)

    def __call__(self, step: Step) -> None:
        """Show a finished step and the change of the image in it."""
        self._done += 1
        self._expected, self._passes = self._passes or self._expected, 0.0
        self._advance(self._done)
        self._show(self._done, f"change {float(step.residual.max()):.1e}")

    def piece(self, share: float) -> None:
        """Show a share of a pass of the model as a part of the step under way."""
        self._passes += share
        # In a step of a solver, most of the time may pass before its passes, which tell no speed then.
        if self._steps == 1:
            self._advance(min(self._passes, 1.0))
        # A step with more passes than expected waits for its end.
        self._show(self._done + min(self._passes / self._expected, 0.99))

    def finished(self, share: float, what: str | None = None) -> None:
        """Show a share of the part, and beside the bar what is being done."""
        done = share * (self._steps or 1)
        if what == self._doing:
            self._advance(done)
        else:  # the steps before may have been fewer than planned
            self._begin(done)
        self._doing = what
        self._show(done, what)

    def close(self) -> None:
        """Remove the task from the bar."""
        self._bar.remove_task(self._task)

    def _before(self) -> int:
        return self._part * (self._steps or 1)

    def _begin(self, done: float, costs: Sequence[float] | None = None) -> None:
        self._left.begin(self._before() + done, time.perf_counter(), costs)

    def _advance(self, done: float) -> None:
        self._left.advance(self._before() + done, time.perf_counter())

    def _show(self, completed: float, note: str | None = None) -> None:
        completed += self._before()
        now = time.perf_counter()
        left = self._left.seconds(now)
        self._bar.update(self._task, completed=completed, ends=None if left is None else now + left)
        if note is not None:
            self._bar.update(self._task, note=note)
        self._first = now if self._first is None else self._first
        if self._estimated or left is None or now - self._first < TRIAL:
            return
        self._estimated = True
        if left >= LONG:
            self._bar.console.print(f"{self._name}: up to about {spoken(left)} left", markup=False)


def spoken(seconds: float) -> str:
    """Return a long duration in words."""
    if seconds < 90:
        return "a minute"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
