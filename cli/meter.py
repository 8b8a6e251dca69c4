"""The progress of one file: steps done, and the share of the step that is under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

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
    """

    def __init__(self, bar: Progress, name: str, steps: int | None, *, quiet: bool) -> None:
        self._bar, self._name, self._steps = bar, name, steps
        self._task = bar.add_task(name, total=steps, note="")
        # Time and finished work at the first report: what comes before it, such as reading, has no speed.
        self._first: tuple[float, float] | None = None
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
        self._show(0, note)

    def preparing(self, what: str, share: float) -> None:
        """Show work before the first step, beside the bar."""
        self._bar.update(self._task, note=f"{what}: {share:.0%}")

    def __call__(self, step: Step) -> None:
        """Show a finished step and the change of the image in it."""
        self._done += 1
        self._expected, self._passes = self._passes or self._expected, 0.0
        self._show(self._done, f"change {float(step.residual.max()):.1e}")

    def piece(self, share: float) -> None:
        """Show a share of a pass of the model as a part of the step under way."""
        self._passes += share
        # A step with more passes than expected waits for its end.
        self._show(self._done + min(self._passes / self._expected, 0.99))

    def finished(self, share: float, what: str | None = None) -> None:
        """Show a share of the part, and beside the bar what is being done."""
        self._show(share * (self._steps or 1), what)

    def close(self) -> None:
        """Remove the task from the bar."""
        self._bar.remove_task(self._task)

    def _show(self, completed: float, note: str | None = None) -> None:
        completed += self._part * (self._steps or 1)
        self._bar.update(self._task, completed=completed)
        if note is not None:
            self._bar.update(self._task, note=note)
        now = time.perf_counter()
        began, before = self._first = self._first or (now, completed)
        if self._estimated or self._steps is None or now - began < TRIAL or completed <= before:
            return
        self._estimated = True
        left = (self._parts * self._steps - completed) / (completed - before) * (now - began)
        if left >= LONG:
            self._bar.console.print(f"{self._name}: up to about {spoken(left)} left", markup=False)


def spoken(seconds: float) -> str:
    """Return a long duration in words."""
    if seconds < 90:
        return "a minute"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
