"""The terminal: one console, one progress bar, one form of error line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gradprox.errors import InputError

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
    """Return a progress bar on standard error; it is invisible when quiet or in a pipe.

    Tasks carry a ``note`` field, shown at the end of the line. A task shows the time left; one without a total shows
    the time since its start.
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
    """Return the message of an error of input or of the system, in one line."""
    said = str(error)
    if isinstance(error, OSError) and error.filename:
        said = f"{error.filename}: {error.strerror}"
    return " ".join(said.split())


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file before an error that does not name it.

    Raises:
        InputError: the block raised one, or an error of the system.
    """
    try:
        yield
    except (InputError, OSError) as error:
        said = error_line(error)
        raise InputError(said if str(path) in said else f"{path}: {said}") from error


@contextmanager
def stopping(advice: str) -> Iterator[None]:
    """Print how to go on when Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"stopped: {advice}", err=True)
        raise


def begin(bar: Progress, name: str, steps: int) -> TaskID:
    """Add a task of at most so many steps; a task of one step shows the time instead of a count."""
    return bar.add_task(name, total=steps if steps > 1 else None, note="")


def follow(bar: Progress, task: TaskID) -> Callback:
    """Return a solver's callback that advances a task of the bar and shows the change of the image."""

    def show(step: Step) -> None:
        bar.update(task, completed=step.number, note=f"change {float(step.residual.max()):.1e}")

    return show
