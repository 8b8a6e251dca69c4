"""Seeded measurement noise."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_noise(like: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Return white Gaussian noise of standard deviation ``level``, shaped, typed and placed like a tensor.

    It is drawn on the CPU, so that every device sees the same noise for the same seed.
    """
    return (level * torch.randn(like.shape, generator=generator, dtype=like.dtype)).to(like.device)
