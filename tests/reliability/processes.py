"""What a process of the reliability tests runs; importable by it."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Sequence

PRELOADED = (
    "tests.reliability.processes",
    "gradprox.cli.app",
    "gradprox.training",
    "gradprox.solvers.deblurring",
)


def command(arguments: Sequence[str], log: str, largest_file: int | None) -> None:
    """Run a command line, printing to the file ``log``; no file may grow beyond ``largest_file`` bytes."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # which the process this one is forked from ignores
    import torch

    from gradprox.cli.app import main

    torch.set_num_threads(1)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["gradprox", *arguments]
    main()
