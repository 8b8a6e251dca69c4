"""Many files through one job: skip what is done, go on after a failure, report each file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from gradprox.cli.groups import Batch
from gradprox.cli.paths import check_absent, collect_inputs, plan_outputs
from gradprox.cli.terminal import begin, console, follow, naming, progress_bar, stopping
from gradprox.errors import InputError
from gradprox.files import remove_leftovers, write_json

if TYPE_CHECKING:
    from gradprox.images import ImageData
    from gradprox.solvers import Callback, Result

Record = dict[str, Any]
# Reads the first file, writes the second, calls back after each step, and returns the figures to report.
Work = Callable[[Path, Path, "Callback"], Record]


class Job(Protocol):
    """The work on each file of a batch; a description that can be sent to other processes."""

    @property
    def steps(self) -> int:
        """The most steps that one file takes."""

    def open(self) -> Work:
        """Load the model, and return the function that works on one file.

        Raises:
            InputError: a setting is unusable.
        """


def run_batch(
    job: Job,
    inputs: Sequence[Path],
    output: str | Path,
    batch: Batch,
    *,
    read: Sequence[str],
    write: str | None = None,
) -> None:
    """Put every input through a job. A file that fails is reported, and the rest go on.

    Args:
        job: the work on each file.
        inputs: files, folders and patterns, as of `collect_inputs`.
        output: a file, or a folder for several, as of `plan_outputs`.
        batch: what is replaced or kept, how many processes work, what is reported.
        read: suffixes of the files that are taken from a folder.
        write: suffix of the outputs; that of the input if None.

    Raises:
        InputError: nothing could be begun.
        typer.Exit: with code 1, if any file failed.
    """
    if batch.overwrite and batch.resume:
        raise InputError("--overwrite and --resume contradict each other: choose one")
    pairs = plan_outputs(collect_inputs(inputs, read), output, write)
    missing = pairs
    if batch.resume:
        missing = [pair for pair in pairs if not pair[1].exists()]
        remove_leftovers([target for _, target in missing])
    else:
        for _, target in pairs:
            check_absent(target, batch.overwrite)
    # Opened in this process too, so that unusable settings show before any worker starts.
    work = job.open()

    began, records = time.perf_counter(), dict[Path, Record]()
    unharmed = "every output is whole; --resume processes the missing ones"
    with stopping(unharmed), progress_bar(batch.quiet) as bar:
        overall = bar.add_task("files", total=len(missing), note="", visible=len(missing) > 1)

        def serially() -> Iterator[Record]:
            for source, target in missing:
                task = begin(bar, source.name, job.steps)
                yield process(work, source, target, follow(bar, task))
                bar.remove_task(task)

        for record in serially() if batch.workers == 1 else _in_parallel(job, missing, batch.workers):
            bar.advance(overall)
            records[Path(record["input"])] = record
            if "error" in record:
                typer.echo(f"error: {record['error']}", err=True)
            elif not batch.quiet:
                console().print(f"{record['name']} -> {record['output']}  {describe(record)}", markup=False)

    failed = sum("error" in record for record in records.values())
    counts = {"done": len(records) - failed, "skipped": len(pairs) - len(missing), "failed": failed}
    if batch.json:
        # In the order of the inputs, although workers may finish in another.
        images = [records.get(s, {"name": s.name, "output": str(t), "skipped": True}) for s, t in pairs]
        write_json(batch.json, {"images": images, **counts})
    if not batch.quiet and len(pairs) > 1:
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        console().print(f"{said} in {time.perf_counter() - began:.1f} s")
    if failed:
        raise typer.Exit(1)


def process(work: Work, source: Path, target: Path, show: Callback) -> Record:
    """Do the work on one file; return the figures to report, or the error."""
    began = time.perf_counter()
    record: Record = {"name": source.name, "input": str(source)}
    try:
        with naming(source):
            found = work(source, target, show)
    except InputError as error:
        return record | {"error": str(error)}
    return record | {"output": str(target), "seconds": time.perf_counter() - began} | found


def _in_parallel(job: Job, pairs: Iterable[tuple[Path, Path]], workers: int) -> Iterator[Record]:
    from gradprox.cli.workers import process_in_parallel

    return process_in_parallel(job, pairs, workers)


def save(target: Path, image: ImageData) -> Record:
    """Write an image; return what its file does not keep, for a report."""
    from gradprox.images import write_image

    lost = write_image(target, image)
    return {"not_kept": list(lost)} if lost else {}


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
        "status": result.status[0].value,
        "objective_increases": int(result.objective_increases[0]),
    }


def describe(record: Record) -> str:
    """Return a record as a short line for people."""
    parts = [record["note"]] if "note" in record else []
    if "estimated_noise" in record:
        parts.append(f"noise estimated at {255 * record['estimated_noise']:.2f}/255")
    if "misfit" in record:
        parts.append(
            f"strength chosen {record['strength']:.2f}: residual {record['misfit']:.2f} times that of the noise"
        )
    if "steps" in record:
        from gradprox.solvers import Status

        status = Status(record["status"])
        parts.append(f"{record['steps']} step{'s' * (record['steps'] != 1)}")
        # Whoever sets --steps knows that they may all be taken; only a failure needs an explanation.
        if status.succeeded:
            parts.append(status.value)
        elif status is not Status.MAX_ITER:
            parts.append(f"{status.value}: {status.advice}")
    parts.append(f"{record['seconds']:.1f} s")
    if "not_kept" in record:
        parts.append(f"not kept: {', '.join(record['not_kept'])}")
    return ", ".join(parts)
