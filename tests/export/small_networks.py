"""Networks small enough to export in seconds, with weights that are nowhere near their initial symmetry."""

from __future__ import annotations

import numpy as np
import torch

from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig, MixtureConfig, MixtureLevel
from gradprox.networks.denoisers.deep_potential import DeepPotential, DeepPotentialConfig
from gradprox.priors import GradientStepDenoiser, LearnedProx

SMALL = IdentityPathConfig(
    kernel_size=4, shrinkage=EnergyGatedConfig(window=3), noise_levels=(1 / 255, 10 / 255, 50 / 255)
)

MIXTURE = SMALL.model_copy(
    update={
        "shrinkage": MixtureConfig(
            components=5,
            levels=(MixtureLevel(classes=3, window=3), MixtureLevel(classes=2, window=3, spacing=2)),
        )
    }
)


def perturbed(config: IdentityPathConfig, seed: int = 0) -> LearnedProx:
    generator = torch.Generator().manual_seed(seed)
    network = IdentityPath(config).eval().requires_grad_(False)
    for weight in network.parameters():
        weight += 0.2 * weight.abs().mean() * torch.randn(weight.shape, generator=generator)
    return LearnedProx(network, "small")


def small_deep(scale: float = 0.8) -> GradientStepDenoiser:
    """Return a model with an explicit energy alone; its last layer is multiplied by ``scale``."""
    torch.manual_seed(0)
    network = DeepPotential(DeepPotentialConfig(widths=(4, 6), blocks=(1, 1))).eval().requires_grad_(False)
    network.last.data *= scale
    return GradientStepDenoiser(network, "deep")


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)
