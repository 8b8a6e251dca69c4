"""Fixtures that many tests share: networks with random weights, small images, the shipped model."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradprox import keep_freed_memory, load_model
from gradprox.networks import IdentityPath, IdentityPathConfig
from gradprox.priors import LearnedProx

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that compete for cores with two threads each are slower than with one, commands they start included.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


# Commands that tests interrupt would inherit that this process ignores Ctrl-C, as it does in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)


# A third of the time of all tests goes into fetching the same memory from the system again, otherwise.
keep_freed_memory()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share", type=float, default=1.0, help="share of the repetitions of the tests marked reliability"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the test that takes minutes: at the end, the other process would wait for it."""
    items.sort(key=lambda item: item.name != "test_commands_run_in_the_order_printed")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def identity_path_config(kind: str = "energy-gated", **settings: object) -> IdentityPathConfig:
    """Return a small architecture; settings are those of the network, or of its shrinkage."""
    outer = {name: settings.pop(name) for name in settings.keys() & IdentityPathConfig.model_fields.keys()}
    window = {"window": 3} if kind == "energy-gated" else {}
    return IdentityPathConfig.model_validate(
        {"kernel_size": 4} | outer | {"shrinkage": {"kind": kind} | window | settings}
    )


def random_identity_path(kind: str = "energy-gated", spread: float = 0.5, **settings: object) -> IdentityPath:
    """Return a float64 network whose every weight is off its start by ``spread`` standard deviations."""
    network = IdentityPath(identity_path_config(kind, **settings)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += spread * torch.randn_like(parameter)
    return network.requires_grad_(False)


@pytest.fixture
def make_network() -> Callable[..., IdentityPath]:
    return random_identity_path


@pytest.fixture
def prox() -> LearnedProx:
    return LearnedProx(random_identity_path())


@pytest.fixture(scope="session")
def shipped() -> LearnedProx:
    return load_model("gray-small").double()


@pytest.fixture
def image() -> Tensor:
    return smooth_image(32, 40)


def smooth_image(height: int, width: int, channels: int = 1) -> Tensor:
    """Return a float64 image ``(1, C, H, W)`` in [0, 1] with edges, flat parts and a ramp."""
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=torch.float64),
        torch.linspace(-1, 1, width, dtype=torch.float64),
        indexing="ij",
    )
    base = 0.5 + 0.2 * columns + 0.25 * ((rows**2 + columns**2) < 0.4) - 0.2 * ((rows + columns) > 0.9)
    return torch.stack([base.roll(3 * c, dims=1) for c in range(channels)])[None].clamp(0, 1)


@pytest.fixture
def make_image() -> Callable[..., Tensor]:
    return smooth_image
