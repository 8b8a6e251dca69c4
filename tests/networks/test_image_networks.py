"""The conformance suite over the forms of the shipped image networks, with a noise level."""

from __future__ import annotations

from functools import partial

import pytest

from gradprox.networks import (
    DeepPotential,
    DeepPotentialConfig,
    Equilibrium,
    EquilibriumConfig,
    GradientNetwork,
    IdentityPath,
    MixtureLevel,
)
from tests.conftest import identity_path_config
from tests.networks.conformance import Case, ConformanceSuite, with_moved_weights

LEVELS = (MixtureLevel(classes=3, window=3), MixtureLevel(classes=2, window=3, spacing=2))
GATED = "energy-gated"


def identity_path(kind: str, **config: object) -> GradientNetwork:
    return with_moved_weights(IdentityPath(identity_path_config(kind, **config)), 0.5, 0)


def equilibrium(kind: str, **config: object) -> GradientNetwork:
    regularizer = identity_path_config(kind, gate_kind="firm", **config)
    start = identity_path_config(channels=regularizer.channels)
    network = Equilibrium(EquilibriumConfig(kind="equilibrium", regularizer=regularizer, start=start))
    return with_moved_weights(network, 0.3, 0)


def deep_potential(**config: object) -> GradientNetwork:
    network = DeepPotential(DeepPotentialConfig(widths=(4, 5), blocks=(1, 1), **config))
    return with_moved_weights(network, 0.05, 0)


def image_case(name: str, build: object, shape: tuple[int, ...], **options: object) -> Case:
    settings = {"sigma": 0.1, "randomize": with_moved_weights, "scales": (3.0, 30.0), "single": 3e-4}
    return Case(name, build, shape, **settings | options)


# Iterations end at a gradient of 0.01 sigma in single precision; the error is at most 1/(1 - m) = 20 times that.
ITERATED = {"scales": (1.0, 3.0), "single": 0.02, "rounding": 1e-8}
# Symmetric by construction, but not monotone, and without a Lipschitz bound.
DEEP = {"scales": (0.3, 3.0)}
CASES = [
    image_case("ridge", partial(identity_path, "ridge"), (1, 5, 6)),
    image_case("ridge-norm-gates", partial(identity_path, "ridge", gate_kind="norm"), (1, 5, 6)),
    image_case("ridge-firm-gates", partial(identity_path, "ridge", gate_kind="firm"), (1, 5, 6)),
    image_case("energy-gated", partial(identity_path, GATED, gates=3), (1, 5, 6)),
    image_case("energy-gated-color", partial(identity_path, GATED, channels=3), (3, 3, 4)),
    image_case("energy-gated-norm-gates", partial(identity_path, GATED, gate_kind="norm"), (1, 5, 6)),
    image_case("mixture", partial(identity_path, "mixture", components=4, levels=LEVELS), (1, 5, 6)),
    image_case(
        "mixture-color", partial(identity_path, "mixture", components=4, levels=LEVELS, channels=3), (3, 3, 4)
    ),
    image_case("mixture-no-levels", partial(identity_path, "mixture", components=3, levels=()), (1, 5, 6)),
    image_case("equilibrium", partial(equilibrium, GATED), (1, 4, 5), **ITERATED),
    image_case("equilibrium-ridge-color", partial(equilibrium, "ridge", channels=3), (3, 2, 3), **ITERATED),
    image_case("deep-potential", deep_potential, (1, 5, 6), **DEEP),
    image_case("deep-potential-color", partial(deep_potential, channels=3), (3, 3, 4), **DEEP),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


class TestImageNetworks(ConformanceSuite):
    """Every form of the shipped image networks."""
