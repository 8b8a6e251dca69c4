"""Many files through one job: skip what is done, go on after a failure, report each file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from gradprox.cli.groups import Batch
from gradprox.cli.linear_light import light_in_words
from gradprox.cli.meter import Meter, Watch
from gradprox.cli.paths import collect_inputs, plan_outputs
from gradprox.cli.terminal import naming, progress_bar, stopping
from gradprox.errors import InputError
from gradprox.files import remove_leftovers
from gradprox.status import Status

if TYPE_CHECKING:
    from gradprox.images import ImageData

Record = dict[str, Any]
# Reads the first file, writes the second, tells of its progress, and returns the figures to report.
Work = Callable[[Path, Path, Watch], Record]


class Job(Protocol):
    """The work on each file of a batch; a description that can be sent to other processes."""

    @property
    def steps(self) -> int:
        """The most steps that one file takes."""

    @property
    def costs(self) -> Sequence[float] | None:
        """The relative costs of the steps; None if they are alike."""

    def describe(self) -> dict[str, Any]:
        """Return the task and its settings, for a report."""

    def open(self, threads: int | None = None) -> Work:
        """Load the model, and return the function that works on one file.

        Args:
            threads: the number of CPU threads that it may use; all if None.

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
    beside: Mapping[Path, Path] | None = None,
) -> None:
    """Put every input through a job. An input that fails or cannot be begun is reported, and the rest go on.

    Args:
        job: the work on each file.
        inputs: files, folders and patterns; see `collect_inputs`.
        output: a file, or a folder for several; see `plan_outputs`.
        batch: what is replaced or kept, how many processes work, what is reported.
        read: suffixes of the files that are taken from a folder.
        write: suffix of the outputs; that of the input if None.
        beside: a further output of each input, by input. To resume, an input without it is processed again.

    Raises:
        InputError: the options are unusable for any input.
        typer.Exit: with code 1, if any input failed or was left out.
    """
    if batch.overwrite and batch.resume:
        raise InputError("--overwrite and --resume contradict each other: choose one")
    if batch.ray is not None:
        from gradprox.cli.ray_workers import check_ray

        check_ray(batch.ray)
    sources, unmatched = collect_inputs(inputs, read)
    plan = plan_outputs(sources, output, write)
    plan.leave_out_missing()
    if batch.json in {*(target for _, target in plan.pairs), *(beside or {}).values()}:
        raise InputError(f"--json {batch.json}: an output has this name too: choose another one")
    existing = [target for _, target in plan.pairs if target.exists()]
    if not (batch.resume or batch.overwrite):
        plan.keep_existing(existing)
    refused = unmatched | plan.refused
    for reason in refused.values():
        typer.echo(f"error: {reason}", err=True)
    pairs = plan.pairs
    missing = pairs
    if batch.resume:
        further = beside or {}
        missing = [(s, t) for s, t in pairs if t not in existing or not further.get(s, t).exists()]
        remove_leftovers([target for _, target in missing])

    began = time.perf_counter()
    records = _process_all(job, missing, batch) if missing else {}
    failed = sum("error" in record for record in records.values())
    counts = {
        "done": len(records) - failed,
        "skipped": len(pairs) - len(missing),
        "left out": len(refused),
        "failed": failed,
    }
    # In the order of the inputs, although workers may finish in another.
    images = [records.get(s, {"name": s.name, "output": str(t), "skipped": True}) for s, t in pairs]
    images += [{"name": path.name, "input": str(path), "error": reason} for path, reason in refused.items()]
    batch.write(
        {
            **job.describe(),
            "images": images,
            **{name.replace(" ", "_"): count for name, count in counts.items()},
        }
    )
    if pairs and not (missing or refused):
        batch.print("nothing to do: every output exists already")
    elif len(images) > 1:
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        batch.print(f"{said} in {time.perf_counter() - began:.1f} s")
    if failed or refused:
        raise typer.Exit(1)


def _process_all(job: Job, pairs: Sequence[tuple[Path, Path]], batch: Batch) -> dict[Path, Record]:
    """Do the work on every file, and report each as soon as it is done; return the records by input."""
    records: dict[Path, Record] = {}
    unharmed = "no output is half-written; run the command again with --resume to process the rest"
    with stopping(unharmed), progress_bar(batch.quiet) as bar:
        starting = bar.add_task("starting", total=None, note="")  # the imports take seconds
        # Opened in this process too, so that unusable settings show before any worker starts.
        work = job.open()
        bar.remove_task(starting)
        overall = bar.add_task("files", total=len(pairs), note="", visible=len(pairs) > 1)

        def serially() -> Iterator[Record]:
            for source, target in pairs:
                meter = Meter(bar, source.name, job.steps, quiet=batch.quiet, costs=job.costs)
                yield process(work, source, target, meter)
                meter.close()

        for record in _in_parallel(job, pairs, batch) if batch.parallel else serially():
            bar.advance(overall)
            records[Path(record["input"])] = record
            for warning in record.get("warnings", ()):
                typer.echo(f"warning: {record['name']}: {warning}", err=True)
            if "error" in record:
                typer.echo(f"error: {record['error']}", err=True)
            else:
                batch.print(f"{record['name']} -> {record['output']}  {describe(record)}", markup=False)
    return records


def process(work: Work, source: Path, target: Path, show: Watch) -> Record:
    """Do the work on one file; return the figures to report, or the error."""
    began = time.perf_counter()
    try:
        with naming(source):
            found = work(source, target, show)
    except InputError as error:
        return failure(source, str(error))
    seconds = time.perf_counter() - began
    return {"name": source.name, "input": str(source), "output": str(target), "seconds": seconds} | found


def failure(source: Path, reason: str) -> Record:
    """Return the record of a file whose work failed."""
    said = reason if str(source) in reason else f"{source}: {reason}"
    return {"name": source.name, "input": str(source), "error": said}


def _in_parallel(job: Job, pairs: Sequence[tuple[Path, Path]], batch: Batch) -> Iterator[Record]:
    """Process files in several processes; yield the record of each as soon as it is done."""
    if batch.ray is not None:
        from gradprox.cli.ray_workers import process_on_ray

        return process_on_ray(job, pairs, batch.workers, batch.ray)
    from gradprox.cli.workers import process_in_parallel

    return process_in_parallel(job, pairs, batch.workers or 1)


def save(target: Path, image: ImageData) -> Record:
    """Write an image; return what its file does not keep, for a report."""
    from gradprox.images import write_image

    lost = write_image(target, image)
    return {"not_kept": list(lost)} if lost else {}


def describe(record: Record) -> str:
    """Return a record as a short line for people."""
    parts = [record["note"]] if "note" in record else []
    if "images" in record:
        parts.append(f"{len(record['images'])} image{'s' * (len(record['images']) != 1)}")
        levels = [255 * image["estimated_noise"] for image in record["images"] if "estimated_noise" in image]
        if levels:
            parts.append(f"noise estimated at {min(levels):.2f}/255 to {max(levels):.2f}/255")
    parts += light_in_words(record)
    if "estimated_noise" in record:
        parts.append(f"noise estimated at {255 * record['estimated_noise']:.2f}/255")
    if "estimated_gain" in record:
        parts.append(
            f"noise follows the signal: estimated gain:{record['estimated_gain']:.3g},"
            f"read:{record['estimated_read']:.3g}"
        )
    if "compression_error" in record:
        parts.append(f"including the error of JPEG compression, {255 * record['compression_error']:.2f}/255")
    if "estimated_kernel" in record:
        parts.append(in_words(record["estimated_kernel"]))
    if "kernel_scale" in record:
        parts.append(
            f"kernel scaled by {record['kernel_scale']:.2f}, turned by {record['kernel_turn']:+.1f} degrees"
        )
    if record.get("clipped_pixels", 0) >= 0.001:  # fewer change nothing visible
        parts.append(f"{record['clipped_pixels']:.1%} of the pixels clipped")
    if "misfit" in record:
        parts.append(
            f"chosen strength {record['strength']:.2f}, squared residual {record['misfit']:.2f} times that of the noise"
        )
    if "steps" in record:
        status = Status(record["status"])
        parts.append(f"{record['steps']} step{'s' * (record['steps'] != 1)}")
        if record.get("warm_start_steps"):
            parts[-1] += f" ({record['warm_start_steps']} of them for a first estimate)"
        # A fixed number of steps needs no explanation, and neither do those of --steps; only a failure does.
        if status.succeeded and status is not Status.COMPLETED:
            parts.append(status.value)
        elif not status.succeeded and status is not Status.MAX_ITER:
            parts.append(f"{status.value}: {status.advice}")
    parts.append(f"{record['seconds']:.1f} s")
    if "not_kept" in record:
        parts.append(f"not kept: {', '.join(record['not_kept'])}")
    return ", ".join(parts)


def in_words(found: dict[str, Any]) -> str:
    """Return the record of an estimate as a short text for people, in the syntax of ``--kernel`` where it has one."""
    if found["family"] == "free":
        name = f"of {found['size']}x{found['size']} pixels"
    else:
        from gradprox.kernels.descriptions import description_of

        name = description_of(found["family"], found["parameters"])
    return f"estimated kernel {name}, confidence {found['confidence']:.2f}"
