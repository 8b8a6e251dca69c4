"""Noise and nothing else."""

from __future__ import annotations

import deepinv
from torch import Tensor


class Denoising(deepinv.physics.Denoising):
    """The identity; called, it adds no noise of its own, unlike deepinv's."""

    def __init__(self) -> None:
        super().__init__(noise_model=deepinv.physics.ZeroNoise())

    def squared_norm(self) -> float:
        """Return 1: exact."""
        return 1.0

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``."""
        return y

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |x - y|^2 + weight |x - z|^2``."""
        return (y + weight * z) / (1 + weight)
