"""Small exported models that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradprox.export import Report, export_denoiser
from gradprox.priors import LearnedProx
from tests.export.small_networks import SMALL, perturbed


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
