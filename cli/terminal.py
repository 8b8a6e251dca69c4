"""The terminal: one console, one progress bar, one form of error line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer

from gradprox.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


@cache
def console(*, stderr: bool = False) -> Console:
    """Return the console: color on a terminal, plain text in a pipe."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def progress_bar(quiet: bool) -> Progress:
    """Return a progress bar on standard error; it is invisible when quiet or in a pipe.

    Tasks carry a ``note`` field, shown at the end of the line. A task shows its count (a task of one step shows none),
    the percentage and the time left, or the time since its start as long as the time left is unknown.
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
            if task.total is None:
                return Text("")
            count = super().render(task) + Text("  ") if task.total > 1 else Text("")
            return count + Text(f"{task.percentage:.0f} %")

    elapsed = TimeElapsedColumn()

    class Time(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            ends = task.fields.get("ends")
            if ends is not None:
                left = timedelta(seconds=max(0, round(ends - perf_counter())))
                return Text(f"{left} left", style="progress.remaining")
            # A `gradprox.cli.meter.Meter` knows the costs of its steps; other tasks have steps alike.
            if task.time_remaining is None or "ends" in task.fields:
                return elapsed.render(task) + Text(" so far")
            return super().render(task) + Text(" left")

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


@contextmanager
def doing(name: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar for work of unknown length; yield the function that is told in words what is being done.

    In a pipe, where the bar is invisible, it prints each stage once: the words before the first comma.
    """
    stages: list[str] = []
    with progress_bar(quiet) as bar:
        task = bar.add_task(name, total=None, note="")

        def show(words: str) -> None:
            bar.update(task, note=words)
            stage = words.partition(",")[0]
            if not (quiet or bar.console.is_terminal or stage in stages):
                stages.append(stage)
                bar.console.print(f"{name}: {stage}", markup=False)

        yield show


def error_line(error: Exception) -> str:
    """Return the message of an error of input or of the system, in one line."""
    said = error.format_message() if isinstance(error, typer.TyperException) else str(error)
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
    """Print how to go on when Ctrl-C ends the block: the advice, or the message of the interruption if it has one."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        typer.echo(f"stopped: {str(interruption) or advice}", err=True)
        raise


@contextmanager
def stop_request() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C in the block sets; the second one interrupts as usual."""
    asked = threading.Event()

    def ask(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        asked.set()
        typer.echo("stopping after this step; press Ctrl-C again to stop at once", err=True)

    usual = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)
