"""Models small enough to export in seconds, with weights that are nowhere near their initial symmetry."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gradprox.export import Report, export_denoiser
from gradprox.networks import IdentityPath, IdentityPathConfig, MixtureLevel
from gradprox.priors import LearnedProx

SMALL = IdentityPathConfig(kernel_size=4, window=3, noise_levels=(1 / 255, 10 / 255, 50 / 255))


MIXTURE = SMALL.model_copy(
    update={
        "form": "mixture",
        "hypotheses": 5,
        "levels": (MixtureLevel(classes=3, window=3), MixtureLevel(classes=2, window=3, spacing=2)),
    }
)


def perturbed(config: IdentityPathConfig, seed: int = 0) -> LearnedProx:
    generator = torch.Generator().manual_seed(seed)
    network = IdentityPath(config).eval().requires_grad_(False)
    for weight in network.parameters():
        weight += 0.2 * weight.abs().mean() * torch.randn(weight.shape, generator=generator)
    return LearnedProx(network, "small")


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
