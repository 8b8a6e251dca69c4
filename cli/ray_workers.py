"""A batch on Ray: in several processes, on this machine or on a cluster, each with a model of its own."""

from __future__ import annotations

import functools
import io
import logging
import os
import re
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO, cast

from gradprox._version import __version__
from gradprox.cli import options
from gradprox.cli.jobs import Job, Record, Work, failure, process
from gradprox.cli.terminal import error_line
from gradprox.cli.workers import Unwatched
from gradprox.errors import InputError
from gradprox.files import remove_leftovers
from gradprox.memory import keep_freed_memory
from gradprox.processors import usable_threads

# How often a file is begun again after its worker was killed.
RETRIES = 3
# Seconds until an address that does not answer is an error.
PATIENCE = 5.0
# The environment of Ray, where it is not set otherwise.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to the developers of Ray
    "RAY_worker_niceness": "0",  # as --workers: at niceness 15, workers wait for ever on a busy machine
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as --workers: workers see the GPUs
}
KILLED = (
    f"its worker was killed {RETRIES + 1} times, perhaps because memory ran out: use fewer --workers, and --resume to "
    "continue"
)
NOT_BEGUN = (
    "--ray: the workers end before they begin: perhaps gradprox is not installed on every machine, or memory runs out: "
    "install it, or use fewer --workers"
)


def process_on_ray(
    job: Job, pairs: Sequence[tuple[Path, Path]], workers: int | None, address: str
) -> Iterator[Record]:
    """Process files in workers of Ray; yield the record of each as soon as it is done.

    A worker works on one file at a time, so the results do not depend on the number of workers. If a worker is killed,
    its file is begun again. Ctrl-C kills the workers, and leaves no partial file.

    Args:
        job: the work on each file.
        pairs: inputs and outputs, as all machines see them.
        workers: number of workers; one for each processor if None.
        address: HOST:PORT, `options.RUNNING_RAY` or `options.OWN_RAY`.

    Raises:
        InputError: Ray cannot be used, or a worker cannot begin; the message says why.
    """
    try:
        with _connected(address, workers) as ray:
            count, threads = shares(ray.nodes(), workers, len(pairs))
            worker = ray.remote(num_cpus=threads)(_Worker)
            begin = functools.partial(worker.remote, job, threads, Path.cwd(), __version__)
            yield from _records(ray, begin, min(count, len(pairs)), pairs)
    finally:
        remove_leftovers([target for _, target in pairs])


def _records(
    ray: Any, begin: Callable[[], Any], count: int, pairs: Sequence[tuple[Path, Path]]
) -> Iterator[Record]:
    """Begin workers, give each a file when it has loaded its model, and another one whenever it has done one."""
    waiting, unfinished = deque(pairs), len(pairs)
    # What each worker does: it works on the pair, or loads its model. The cluster may have no room for some of them.
    busy: dict[Any, tuple[Any, tuple[Path, Path] | None]] = {}
    killed = Counter[tuple[Path, Path] | None]()

    def begin_worker() -> None:
        worker = begin()
        busy[worker.open.remote()] = worker, None

    for _ in range(count):
        begin_worker()
    try:
        while unfinished:
            (done,), _ = ray.wait([*busy], num_returns=1)
            worker, pair = busy.pop(done)
            try:
                found = ray.get(done)
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                killed[pair] += 1
                if pair is None and killed[pair] > RETRIES:
                    raise InputError(NOT_BEGUN) from error
                begin_worker()
                if pair is not None and killed[pair] > RETRIES:
                    unfinished -= 1
                    yield failure(pair[0], KILLED)
                elif pair is not None:
                    waiting.append(pair)
                continue
            if pair is not None:
                unfinished -= 1
                yield found
            elif found is not None:
                raise InputError(f"--ray: {found}")
            if waiting:
                pair = waiting.popleft()
                busy[worker.process.remote(*pair)] = worker, pair
            else:
                ray.kill(worker)  # the worker that replaces a killed one may need its processors
    finally:
        for worker, _ in busy.values():
            ray.kill(worker)


class _Worker:
    """A process of Ray that works on one file after another."""

    def __init__(self, job: Job, threads: int, folder: Path, version: str) -> None:
        self._job, self._threads, self._folder, self._version = job, threads, folder, version
        self._work: Work | None = None

    def open(self) -> str | None:
        """Load the model; return why that is impossible, if it is."""
        host = socket.gethostname()
        if self._version != __version__:
            return f"{host} has gradprox {__version__}, and this machine {self._version}: install the same version"
        try:
            os.chdir(self._folder)  # paths are relative to it
        except OSError as error:
            return f"{host} does not see {error_line(error)}; all machines need the same files"
        keep_freed_memory()
        try:
            self._work = self._job.open(self._threads)
        except (InputError, OSError) as error:
            return f"{host}: {error_line(error)}"
        return None

    def process(self, source: Path, target: Path) -> Record:
        """Work on a file; return its record."""
        assert self._work is not None  # noqa: S101  open comes first
        return process(self._work, source, target, Unwatched())


def shares(nodes: Sequence[Mapping[str, Any]], workers: int | None, files: int) -> tuple[int, int]:
    """Return the number of workers, and of the processors of each, which one machine must have.

    Args:
        nodes: the machines of the cluster, as ``ray.nodes()`` lists them.
        workers: the wanted number of workers; one for each processor if None, but no more than files.
        files: number of files.
    """
    processors = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    count = workers or max(1, min(sum(processors), files))
    return count, max(1, min(max(processors), sum(processors) // count))


def check_address(address: str) -> None:
    """Refuse an address at which nothing answers.

    Raises:
        InputError: it is no address, or nothing answers.
    """
    match = re.fullmatch(options.RAY_ADDRESS, address)
    if match is None:
        raise InputError(
            f"--ray {address}: write HOST:PORT, for example node1:6379, or {options.RUNNING_RAY}"
        )
    try:
        socket.create_connection((match[1], int(match[2])), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"--ray {address}: no answer ({said}): is the cluster running?") from error


def check_ray(address: str) -> None:
    """Refuse an address if Ray is not installed, or if nothing answers there.

    Raises:
        InputError: Ray cannot be used.
    """
    if find_spec("ray") is None:
        raise InputError("--ray needs the package ray: pip install ray")
    if address not in (options.OWN_RAY, options.RUNNING_RAY):
        check_address(address)


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Connect to Ray, or start one, and yield the module ``ray``.

    Raises:
        InputError: Ray is not installed, cannot be reached, or has another version.
    """
    check_ray(address)
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    import ray

    where: dict[str, Any] = {"address": address}
    if address == options.OWN_RAY:
        where = {"address": "local", "num_cpus": max(usable_threads(), workers or 1)}
    try:
        ray.init(**where, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        tokens = (
            "; a cluster with tokens needs RAY_AUTH_MODE=token" if isinstance(error, ConnectionError) else ""
        )
        raise InputError(f"--ray {address}: {error_line(error)}{tokens}") from error
    try:
        with redirect_stdout(cast("TextIO", _WithoutRay(sys.stdout))):
            yield ray
    finally:
        with redirect_stdout(io.StringIO()):  # Ray repeats there what its threads printed
            ray.shutdown()


class _WithoutRay:
    """Standard output without what threads of Ray print there, such as long advice on a killed worker."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, unless a thread of Ray does."""
        ours = not threading.current_thread().name.startswith("ray_")
        return self._stream.write(text) if ours else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
