"""The architectures that restore images, told apart by the ``kind`` of their configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Tag, TypeAdapter

from gradprox.networks.denoisers.equilibrium import Equilibrium, EquilibriumConfig
from gradprox.networks.denoisers.identity_path import IdentityPath, IdentityPathConfig

ImageNetwork = IdentityPath | Equilibrium


def _kind(value: Any) -> str | None:
    """Return the kind of a configuration; the one-pass form where none is named."""
    if isinstance(value, BaseModel):
        return getattr(value, "kind", None)
    return value.get("kind", "identity-path") if isinstance(value, dict) else None


ImageNetworkConfig = Annotated[
    Annotated[IdentityPathConfig, Tag("identity-path")] | Annotated[EquilibriumConfig, Tag("equilibrium")],
    Discriminator(_kind),
]


def read_config(text: str) -> IdentityPathConfig | EquilibriumConfig:
    """Read a configuration from JSON.

    Raises:
        pydantic.ValidationError: it is none.
    """
    config: IdentityPathConfig | EquilibriumConfig = TypeAdapter(ImageNetworkConfig).validate_json(text)
    return config


def build(config: IdentityPathConfig | EquilibriumConfig) -> ImageNetwork:
    """Return a fresh network."""
    return Equilibrium(config) if isinstance(config, EquilibriumConfig) else IdentityPath(config)
