"""What the reliability tests share: a model that costs nothing, images, processes that start at once."""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradprox.cli.app import main
from gradprox.images import EXAMPLE_IMAGE
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.priors import save_network
from tests.reliability.processes import PRELOADED, command

TINY = IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1))


@pytest.fixture
def times(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """Return how often to repeat something, less where ``--share`` says so."""
    share = request.config.getoption("--share")
    return lambda count: max(1, math.ceil(count * share))


@pytest.fixture
def run(monkeypatch, capfd):
    """Run a command line in this process; return exit code and what it printed, down to the C libraries."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradprox", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capfd.readouterr()
        return exit_.value.code or 0, out, err

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_network(IdentityPath(TINY), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of 60 small images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(EXAMPLE_IMAGE) as image:
        for i in range(60):
            image.crop((i, i, i + 64, i + 56)).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture
def pixels() -> np.ndarray:
    with Image.open(EXAMPLE_IMAGE) as image:
        return np.asarray(image.crop((90, 60, 122, 84)))


@pytest.fixture(scope="session")
def start() -> Callable[..., BaseProcess]:
    """Start a command line in a process forked from one that has imported everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])

    def start(*arguments: object, log: Path, largest_file: int | None = None) -> BaseProcess:
        words: Sequence[str] = [str(argument) for argument in arguments]
        process = context.Process(target=command, args=(words, str(log), largest_file))
        process.start()
        return process

    return start
