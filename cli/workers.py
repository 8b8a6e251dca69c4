"""A batch in several processes on one machine, each with a share of its threads and a model of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprox.cli.jobs import Job, Record, process
from gradprox.cli.meter import Step
from gradprox.errors import InputError
from gradprox.memory import keep_freed_memory
from gradprox.processors import usable_threads

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

_worker: dict[str, Any] = {}  # in a worker process: its work, and the event that ends it


def process_in_parallel(job: Job, pairs: Iterable[tuple[Path, Path]], workers: int) -> Iterator[Record]:
    """Process files in several processes; yield the record of each as soon as it is done.

    One process works on one file, so the results do not depend on the number of processes. Ctrl-C ends the workers at
    their next step, and leaves no partial file.

    Raises:
        InputError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    threads = max(1, usable_threads() // workers)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(job, threads, stop))
    # A terminal sends Ctrl-C to every process. Workers inherit this handler and leave Ctrl-C to their parent.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        futures = [pool.submit(_process, source, target) for source, target in pairs]
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was killed, perhaps because memory ran out: use fewer --workers, and --resume to continue"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _start(job: Job, threads: int, stop: Event) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    _worker.update(work=job.open(threads), stop=stop)


def _process(source: Path, target: Path) -> Record:
    return process(_worker["work"], source, target, Unwatched(_stop_if_asked))


class Unwatched:
    """Shows no progress, and calls a function at each step, which may end the work; a `gradprox.cli.meter.Watch`."""

    def __init__(self, at_each: Callable[[], None] = lambda: None) -> None:
        self._at_each = at_each

    def begin(self, part: int, parts: int) -> None:  # noqa: ARG002
        """Receive the number of the part that begins."""
        self._at_each()

    def preparing(self, what: str, share: float) -> None:  # noqa: ARG002
        """Receive the finished share of work before the first step."""
        self._at_each()

    def __call__(self, step: Step) -> None:  # noqa: ARG002
        """Receive a finished step."""
        self._at_each()

    def piece(self, share: float) -> None:  # noqa: ARG002
        """Receive a finished tile."""
        self._at_each()

    def finished(self, share: float, what: str | None = None) -> None:  # noqa: ARG002
        """Receive the finished share of the work."""
        self._at_each()


def _stop_if_asked() -> None:
    if _worker["stop"].is_set():
        raise KeyboardInterrupt


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed parent cannot tell it to."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
