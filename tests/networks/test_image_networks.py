"""The conformance suite over the forms of the shipped image networks, with a noise level."""

from __future__ import annotations

from functools import partial

import pytest

from gradprox.networks import (
    Equilibrium,
    EquilibriumConfig,
    GradientNetwork,
    IdentityPath,
    IdentityPathConfig,
    MixtureLevel,
)
from gradprox.networks.denoisers.deep_potential import DeepPotential, DeepPotentialConfig
from tests.networks.conformance import Case, ConformanceSuite, with_moved_weights

SMALL = {"kernel_size": 4, "window": 3}
MIXTURE = {
    "form": "mixture",
    "hypotheses": 4,
    "levels": (MixtureLevel(classes=3, window=3), MixtureLevel(classes=2, window=3, spacing=2)),
}


def identity_path(**config: object) -> GradientNetwork:
    return with_moved_weights(IdentityPath(IdentityPathConfig(**SMALL | config)), 0.5, 0)


def equilibrium(**config: object) -> GradientNetwork:
    regularizer = IdentityPathConfig(**SMALL | {"components": 2} | config)
    start = IdentityPathConfig(**SMALL, channels=regularizer.channels)
    network = Equilibrium(EquilibriumConfig(kind="equilibrium", regularizer=regularizer, start=start))
    return with_moved_weights(network, 0.3, 0)


def deep_potential(**config: object) -> GradientNetwork:
    return with_moved_weights(
        DeepPotential(DeepPotentialConfig(widths=(4, 5), blocks=(1, 1), **config)), 0.05, 0
    )


def image_case(name: str, build: object, shape: tuple[int, ...], **options: object) -> Case:
    settings = {"sigma": 0.1, "randomize": with_moved_weights, "scales": (3.0, 30.0), "single": 3e-4}
    return Case(name, build, shape, **settings | options)


CASES = [
    image_case("ridge", partial(identity_path, form="ridge"), (1, 5, 6)),
    image_case("ridge-nonexpansive", partial(identity_path, form="ridge", nonexpansive=True), (1, 5, 6)),
    image_case("energy-gated", partial(identity_path, gates=3), (1, 5, 6)),
    image_case("energy-gated-color", partial(identity_path, channels=3), (3, 3, 4)),
    image_case("energy-gated-nonexpansive", partial(identity_path, nonexpansive=True), (1, 5, 6)),
    image_case("mixture", partial(identity_path, **MIXTURE), (1, 5, 6)),
    image_case("mixture-color", partial(identity_path, channels=3, **MIXTURE), (3, 3, 4)),
    image_case(
        "mixture-one-level", partial(identity_path, form="mixture", hypotheses=3, levels=()), (1, 5, 6)
    ),
    # Iterations end at a gradient of 0.01 sigma in single precision, and the error is up to 1/(1 - m) times that.
    image_case("equilibrium", equilibrium, (1, 4, 5), scales=(1.0, 3.0), single=0.02, rounding=1e-8),
    image_case(
        "equilibrium-ridge-color",
        partial(equilibrium, form="ridge", channels=3),
        (3, 2, 3),
        scales=(1.0, 3.0),
        single=0.02,
        rounding=1e-8,
    ),
    # Symmetric by construction, but not monotone, and without a Lipschitz bound.
    image_case("deep-potential", deep_potential, (1, 5, 6), scales=(0.3, 3.0)),
    image_case("deep-potential-color", partial(deep_potential, channels=3), (3, 3, 4), scales=(0.3, 3.0)),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


class TestImageNetworks(ConformanceSuite):
    """Every form of the shipped image networks."""
