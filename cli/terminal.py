"""What people see: one console, one progress bar, one table style."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from gradprox.solvers import Callback, Step


@cache
def console(*, stderr: bool = False) -> Console:
    """Return the console: color on a terminal, plain text in a pipe."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def progress_bar(quiet: bool) -> Progress:
    """Return a progress bar with time left, on standard error; invisible when quiet or in a pipe.

    Tasks carry a ``note`` field, shown at the end of the line. A task without a total moves to and fro, and shows the
    time since its start.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Count(MofNCompleteColumn):
        def render(self, task: Task) -> Text:
            return Text("") if task.total is None else super().render(task)

    elapsed = TimeElapsedColumn()

    class Time(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            return elapsed.render(task) if task.total is None else super().render(task)

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        Count(),
        Time(),
        TextColumn("{task.fields[note]}"),
        console=console(stderr=True),
        transient=True,
        disable=quiet or not console(stderr=True).is_terminal,
    )


def error_line(error: Exception) -> str:
    """Return what an error of input or of the system says, in one line."""
    said = str(error)
    if isinstance(error, OSError) and error.filename:
        said = f"{error.filename}: {error.strerror}"
    return " ".join(said.split())


@contextmanager
def stopping(advice: str) -> Iterator[None]:
    """Say how to go on when Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"stopped: {advice}", err=True)
        raise


def begin(bar: Progress, name: str, steps: int) -> TaskID:
    """Add a task of so many steps at most; a single one is done when it ends, so nothing counts on the way."""
    return bar.add_task(name, total=steps if steps > 1 else None, note="")


def follow(bar: Progress, task: TaskID) -> Callback:
    """Return a solver's callback that moves a task of the bar and shows the change of the image."""

    def show(step: Step) -> None:
        bar.update(task, completed=step.number, note=f"change {float(step.residual.max()):.1e}")

    return show
