"""Several processes on one machine, each with a share of its threads and a model of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprox.cli.jobs import Job, Record, process
from gradprox.errors import InputError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from gradprox.solvers import Step

_worker: dict[str, Any] = {}  # of a worker process: its work, and the event that ends it


def process_in_parallel(job: Job, pairs: Iterable[tuple[Path, Path]], workers: int) -> Iterator[Record]:
    """Process files in ``workers`` processes; yield what to report of each as soon as it is done.

    Files are worked on one by one, each by one process, so that results do not depend on the number of processes.
    Ctrl-C ends the workers at their next step, and no partial file is left.

    Raises:
        InputError: a process was killed.
    """
    import torch

    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(job, threads, stop))
    # Ctrl-C reaches every process of a terminal. Workers, who inherit this, leave it to their parent.
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
            "a worker process was killed, perhaps for want of memory: use fewer --workers; --resume goes on"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _start(job: Job, threads: int, stop: Event) -> None:
    import torch

    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _worker.update(work=job.open(), stop=stop)


def _process(source: Path, target: Path) -> Record:
    return process(_worker["work"], source, target, _heed_stop)


def _heed_stop(_: Step) -> None:
    if _worker["stop"].is_set():
        raise KeyboardInterrupt


def _end_with_parent() -> None:
    """End this process when its parent is gone, killed perhaps: nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
