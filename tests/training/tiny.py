"""The smallest training that trains."""

from __future__ import annotations

from gradprox.networks import EnergyGatedConfig, IdentityPathConfig
from gradprox.training import Recipe

NETWORK = IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1))
RECIPE = Recipe(
    name="tiny", network=NETWORK, steps=12, batch_size=2, patch_size=16, checkpoint_every=4, validate_every=6
)
