"""Weights of measurements whose noise depends on the signal, for a data term."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.noise_rule import LEAST_NOISE
from gradprox.signal_noise import SignalNoise


@dataclass(frozen=True)
class WeightedNoise:
    """Noise of different levels, as one level and the weights of the measurements.

    Attributes:
        level: the root of the mean variance.
        weights: ``level^2`` divided by the variance of each measurement, for `gradprox.solvers.WeightedL2`. The
            weighted data term of noise of constant level is that without weights.
    """

    level: float
    weights: Tensor


def weighted_noise(signal: Tensor, noise: SignalNoise) -> WeightedNoise:
    """Return the level and the weights of measurements.

    Args:
        signal: the measurements without noise, or an estimate of them, for example by a `StabilizedDenoiser`. Noisy
            measurements would not do: those that are too dark by chance would count more. Negative values are black.
        noise: of the measurements. Levels below that of rounding to 8 bits are raised to it.
    """
    variance = (noise.gain * signal.clamp_min(0) + noise.read**2).clamp_min(LEAST_NOISE**2)
    mean = float(variance.mean())
    return WeightedNoise(mean**0.5, mean / variance)
