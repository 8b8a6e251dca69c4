"""The architectures of image networks, told apart in files and recipes by the ``kind`` of their configuration.

To add an architecture, write a configuration with its own ``kind`` and a method ``build``, and add both classes to the
unions below. Files, recipes, training and export then know it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Tag, TypeAdapter

from gradprox.networks.denoisers.deep_potential import DeepPotential, DeepPotentialConfig
from gradprox.networks.denoisers.equilibrium import Equilibrium, EquilibriumConfig
from gradprox.networks.denoisers.identity_path import IdentityPath, IdentityPathConfig

ImageNetwork = IdentityPath | Equilibrium | DeepPotential
AnyConfig = IdentityPathConfig | EquilibriumConfig | DeepPotentialConfig


def _kind(value: Any) -> str | None:
    """Return the kind of a configuration; ``"identity-path"`` where none is named."""
    if isinstance(value, BaseModel):
        return getattr(value, "kind", None)
    return value.get("kind", "identity-path") if isinstance(value, dict) else None


# The same union as `AnyConfig`, which pydantic reads by its kind.
ImageNetworkConfig = Annotated[
    Annotated[IdentityPathConfig, Tag("identity-path")]
    | Annotated[EquilibriumConfig, Tag("equilibrium")]
    | Annotated[DeepPotentialConfig, Tag("deep-potential")],
    Discriminator(_kind),
]


def read_config(text: str) -> AnyConfig:
    """Read a configuration from JSON.

    Raises:
        pydantic.ValidationError: the text is not the configuration of a network.
    """
    config: AnyConfig = TypeAdapter(ImageNetworkConfig).validate_json(text)
    return config


def build(config: AnyConfig) -> ImageNetwork:
    """Return a new network."""
    return config.build()
