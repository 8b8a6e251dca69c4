"""Restoring several files: where outputs go, what goes on after an error, what is reported."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gradprox.cli.terminal import console, follow, progress_bar
from gradprox.errors import InputError
from gradprox.files import written_whole

if TYPE_CHECKING:
    from gradprox.images import Picture
    from gradprox.solvers import Callback, Result

# A restoration: the picture, and a callback for its steps, to the restored picture and its record (if any).
Restore = Callable[["Picture", "Callback"], tuple["Picture", "Result | None"]]


def plan_outputs(images: Sequence[Path], output: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """Pair inputs with outputs.

    One picture goes to the file ``output``, unless that is a folder; several go into the folder ``output`` under
    their own names.

    Raises:
        InputError: several pictures for one file, two for one name, an output that exists already or that names
            no known picture format.
    """
    from gradprox.images import check_picture_suffix

    into_folder = output.is_dir() or len(images) > 1 or not output.suffix
    if len(images) > 1 and output.suffix:
        raise InputError(f"{output}: several pictures need a folder, not one file")
    pairs = [(image, output / image.name if into_folder else output) for image in images]
    if len({target for _, target in pairs}) < len(pairs):
        raise InputError(f"{output}: two of the pictures have the same name")
    for _, target in pairs:
        check_picture_suffix(target)
        check_absent(target, overwrite)
    return pairs


def check_absent(target: Path, overwrite: bool) -> None:
    """Refuse an output that exists already, unless it may be overwritten.

    Raises:
        InputError: it exists.
    """
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists already: add --overwrite to replace it")


def restore_files(
    pairs: Sequence[tuple[Path, Path]], restore: Restore, steps: int, *, quiet: bool, report: Path | None
) -> None:
    """Restore every picture; one that fails is reported and the rest go on.

    Args:
        pairs: inputs and outputs.
        restore: what to do with each picture.
        steps: how many steps one picture takes at most.
        quiet: print errors only.
        report: JSON file for the records.

    Raises:
        typer.Exit: with code 1, if any picture failed.
    """
    from gradprox.images import read_picture, write_picture

    records: list[dict[str, Any]] = []
    failed = False
    with progress_bar(quiet) as bar:
        for source, target in pairs:
            task = bar.add_task(source.name, total=steps, note="")
            began = time.perf_counter()
            try:
                restored, result = restore(read_picture(source), follow(bar, task))
                write_picture(target, restored)
            except InputError as error:
                failed = True
                typer.echo(f"error: {error}", err=True)
                records.append({"name": source.name, "error": str(error)})
                continue
            finally:
                bar.remove_task(task)
            record = {"name": source.name, "output": str(target), "seconds": time.perf_counter() - began}
            if result is not None:
                record |= outcome(result)
            records.append(record)
            if not quiet:
                console().print(f"{source.name} -> {target}  {describe(record)}")
    if report:
        write_json(report, {"images": records})
    if failed:
        raise typer.Exit(1)


def outcome(result: Result) -> dict[str, Any]:
    """Return what a solver did with one picture, for a report."""
    return {
        "steps": int(result.steps[0]),
        "status": result.status[0].value,
        "objective_increases": int(result.objective_increases[0]),
    }


def describe(record: dict[str, Any]) -> str:
    """Return a record as a short line for people."""
    parts = [f"{record['seconds']:.1f} s"]
    if "steps" in record:
        parts = [f"{record['steps']} steps, {record['status']}", *parts]
    return ", ".join(parts)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
