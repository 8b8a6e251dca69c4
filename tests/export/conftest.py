"""Small exported models that many tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from gradprox.export import Report, export_denoiser, export_solver
from gradprox.priors import LearnedProx
from tests.export.small_networks import SMALL, perturbed, small_deep

SharedFile = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared_file(tmp_path_factory: pytest.TempPathFactory) -> SharedFile:
    """Return a function that returns a file by its name, and writes it where no process of this run has done so.

    Exporting a solver takes minutes, and tests of one file may run in several processes.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def shared(name: str, write: Callable[[Path], object]) -> Path:
        with FileLock(folder / f"{name}.lock"):
            if not (folder / name).exists():
                write(folder / name)
        return folder / name

    return shared


@pytest.fixture(scope="session")
def deblurring_preset(prior: LearnedProx, shared_file: SharedFile) -> Callable[[str], Path]:
    """Return a function that exports the preset of deblurring with `prior` for a boundary."""

    def preset(boundary: str) -> Path:
        return shared_file(
            f"deblur-{boundary}.onnx",
            lambda path: export_solver("deblur", None, prior, path, boundary=boundary),
        )

    return preset


@pytest.fixture(scope="session")
def deep_deblurring(shared_file: SharedFile) -> Callable[[str], Path]:
    """Return a function that exports the preset of deblurring with `small_deep` for a boundary."""

    def preset(boundary: str) -> Path:
        return shared_file(
            f"deep-{boundary}.onnx",
            lambda path: export_solver("deblur", None, small_deep(), path, boundary=boundary),
        )

    return preset


@pytest.fixture(scope="session")
def prior() -> LearnedProx:
    return perturbed(SMALL)


@pytest.fixture(scope="session")
def exported(prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    path = tmp_path_factory.mktemp("export") / "denoiser.onnx"
    return path, export_denoiser(prior, path)


@pytest.fixture(scope="session")
def with_potential(prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "potential.onnx"
    export_denoiser(prior, path, potential=True)
    return path


@pytest.fixture(scope="session")
def denoiser_file(exported: tuple[Path, Report]) -> Path:
    return exported[0]


@pytest.fixture(scope="session")
def color_prior() -> LearnedProx:
    return perturbed(SMALL.model_copy(update={"channels": 3}))


@pytest.fixture(scope="session")
def color_file(color_prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "color.onnx"
    export_denoiser(color_prior, path)
    return path
