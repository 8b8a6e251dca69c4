"""Seeded measurement noise.

Solvers fit by least squares, the likelihood of Gaussian noise. The likelihood of Poisson noise is
`deepinv.optim.PoissonLikelihood` with the same gain. With many photons per pixel, least squares with the noise level of
`poisson_level` come close to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.errors import InputError


def gaussian_noise(like: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Return white Gaussian noise of standard deviation ``level``, shaped, typed and placed like a tensor.

    It is drawn on the CPU, so that every device sees the same noise for the same seed.

    Raises:
        InputError: the level is negative or not finite.
    """
    if not 0 <= level < float("inf"):
        raise InputError(f"the noise level must be finite and not negative, got {level:g}")
    return (level * torch.randn(like.shape, generator=generator, dtype=like.dtype)).to(like.device)


def poisson_noise(clean: Tensor, gain: float, generator: torch.Generator) -> Tensor:
    """Return noisy measurements from counted photons: ``gain Poisson(clean / gain)``, of variance ``gain clean``.

    It is drawn on the CPU, so that every device sees the same noise for the same seed. Negative values, which rounding
    may leave, are taken as 0.

    Args:
        clean: noiseless measurements.
        gain: brightness of one photon.
        generator: the source of randomness.

    Raises:
        InputError: the gain is not positive and finite, or measurements are not finite.
    """
    if not 0 < gain < float("inf"):
        raise InputError(f"the gain must be positive and finite, got {gain:g}")
    if not bool(torch.isfinite(clean).all()):
        raise InputError("the measurements contain NaN or infinite values")
    photons = torch.poisson(clean.cpu().clamp_min(0) / gain, generator=generator)
    return (gain * photons).to(clean.device)


def poisson_level(noisy: Tensor, gain: float) -> Tensor:
    """Return the standard deviation of Poisson noise, root mean square over each image of ``(B, ...)``, ``(B,)``."""
    return (gain * noisy.flatten(1).mean(dim=1)).clamp_min(0).sqrt()
