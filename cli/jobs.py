"""Many files through one job: what is read, where outputs go, what is skipped, what is reported."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from gradprox.cli.terminal import begin, console, error_line, follow, progress_bar, stopping
from gradprox.errors import InputError
from gradprox.files import remove_leftovers, write_json

if TYPE_CHECKING:
    from gradprox.images import ImageData
    from gradprox.solvers import Callback, Result

Record = dict[str, Any]
# Reads the first file, writes the second, calls back after each step, and returns what there is to report.
Work = Callable[[Path, Path, "Callback"], Record]


class Job(Protocol):
    """What is done with each file; a description that other processes can be sent."""

    @property
    def steps(self) -> int:
        """How many steps one file takes at most."""

    def open(self) -> Work:
        """Load the model.

        Raises:
            InputError: a setting is unusable.
        """


def run_batch(
    job: Job,
    inputs: Sequence[Path],
    output: Path,
    *,
    read: Sequence[str],
    write: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    workers: int = 1,
    quiet: bool = False,
    report: Path | None = None,
) -> None:
    """Put every input through a job; one that fails is reported and the rest go on.

    Args:
        job: what to do with each file.
        inputs: files, folders, patterns (``*.png``).
        output: file, or folder for several.
        read: suffixes of the files that are taken from a folder.
        write: suffix of the outputs; that of the input if not given.
        overwrite: replace existing outputs.
        resume: keep existing outputs, and do only what is missing.
        workers: processes.
        quiet: print errors only.
        report: JSON file for the records.

    Raises:
        InputError: nothing could be begun.
        typer.Exit: with code 1, if any file failed.
    """
    if overwrite and resume:
        raise InputError("--overwrite and --resume contradict each other: choose one")
    pairs = plan_outputs(collect_inputs(inputs, read), output, write)
    missing = [pair for pair in pairs if not pair[1].exists()]
    if not resume:
        for _, target in pairs:
            check_absent(target, overwrite)
        missing = pairs
    if resume:
        remove_leftovers([target for _, target in missing])
    # In this process too where others do the work: what is unusable shows before they start.
    work = job.open()

    began, records = time.perf_counter(), dict[Path, Record]()
    unharmed = "no output is half written; --resume does what is missing"
    with stopping(unharmed), progress_bar(quiet) as bar:
        overall = bar.add_task("files", total=len(missing), note="", visible=len(missing) > 1)

        def serially() -> Iterator[Record]:
            for source, target in missing:
                task = begin(bar, source.name, job.steps)
                yield process(work, source, target, follow(bar, task))
                bar.remove_task(task)

        for record in serially() if workers == 1 else _in_parallel(job, missing, workers):
            bar.advance(overall)
            records[Path(record["input"])] = record
            if "error" in record:
                typer.echo(f"error: {record['error']}", err=True)
            elif not quiet:
                console().print(f"{record['name']} -> {record['output']}  {describe(record)}", markup=False)

    failed = sum("error" in record for record in records.values())
    counts = {"done": len(records) - failed, "skipped": len(pairs) - len(missing), "failed": failed}
    if report:
        # In the order of the inputs, whichever was done first.
        images = [records.get(s, {"name": s.name, "output": str(t), "skipped": True}) for s, t in pairs]
        write_json(report, {"images": images, **counts})
    if not quiet and len(pairs) > 1:
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        console().print(f"{said} in {time.perf_counter() - began:.1f} s")
    if failed:
        raise typer.Exit(1)


def collect_inputs(inputs: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """Return the files that arguments stand for: themselves, those of a folder, or those a pattern matches.

    Raises:
        InputError: a folder has no file with one of the suffixes, or a pattern matches none.
    """
    from gradprox.images import images_in

    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found += images_in(path, suffixes)
        elif path.exists() or not set("*?[") & set(str(path)):
            found.append(path)
        else:
            matches = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"{path}: matches no file")
            found += [match for match in matches if match.is_file()]
    return list(dict.fromkeys(found))


def plan_outputs(inputs: Sequence[Path], output: Path, suffix: str | None = None) -> list[tuple[Path, Path]]:
    """Pair inputs with outputs.

    One file goes to the file ``output``, unless that is a folder; several go into the folder ``output`` under their
    own names, with another suffix where one is given.

    Raises:
        InputError: several files for one, two for one name, or an output that names no known format.
    """
    from gradprox.images import check_image_suffix

    into_folder = output.is_dir() or len(inputs) > 1 or not output.suffix
    if len(inputs) > 1 and output.suffix and not output.is_dir():
        raise InputError(f"{output}: several files need a folder, not one file")
    pairs = []
    for path in inputs:
        name = path.name if suffix is None else path.with_suffix(suffix).name
        pairs.append((path, output / name if into_folder else output))
    if len({target for _, target in pairs}) < len(pairs):
        raise InputError(f"{output}: two of the files would have the same name")
    for _, target in pairs:
        if suffix == ".npz" and target.suffix.lower() != suffix:
            raise InputError(f"{target}: measurements are written to a .npz file")
        check_image_suffix(target)
    return pairs


def check_absent(target: Path, overwrite: bool) -> None:
    """Refuse an output that exists already, unless it may be overwritten.

    Raises:
        InputError: it exists.
    """
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists already: add --overwrite to replace it")


def process(work: Work, source: Path, target: Path, show: Callback) -> Record:
    """Do the work on one file; return what to report of it, failures included."""
    began = time.perf_counter()
    record: Record = {"name": source.name, "input": str(source)}
    try:
        found = work(source, target, show)
    except (InputError, OSError) as error:
        said = error_line(error)
        # Among many files it must be said which one.
        return record | {"error": said if str(source) in said else f"{source}: {said}"}
    return record | {"output": str(target), "seconds": time.perf_counter() - began} | found


def _in_parallel(job: Job, pairs: Iterable[tuple[Path, Path]], workers: int) -> Iterator[Record]:
    from gradprox.cli.workers import process_in_parallel

    return process_in_parallel(job, pairs, workers)


def save(target: Path, image: ImageData) -> Record:
    """Write an image; return for a report what its file does not keep."""
    from gradprox.images import write_image

    lost = write_image(target, image)
    return {"not_kept": list(lost)} if lost else {}


def outcome(result: Result) -> Record:
    """Return what a solver did with one image, for a report."""
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
            f"strength chosen {record['strength']:.2f}: misfit {record['misfit']:.2f} times that of the noise"
        )
    if "steps" in record:
        from gradprox.solvers import Status

        status = Status(record["status"])
        parts.append(f"{record['steps']} step{'s' * (record['steps'] != 1)}")
        # The budget of a preset is a setting like others: using it up is no news, failing is.
        if status is Status.CONVERGED:
            parts.append(status.value)
        elif status is not Status.MAX_ITER:
            parts.append(f"{status.value}: {status.advice}")
    parts.append(f"{record['seconds']:.1f} s")
    if "not_kept" in record:
        parts.append(f"not kept: {', '.join(record['not_kept'])}")
    return ", ".join(parts)
