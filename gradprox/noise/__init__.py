"""Noise that depends on the signal: the noise of cameras, of variance ``gain * signal + read^2``.

Begin with `StabilizedDenoiser` (`stabilized_denoiser.py`): it lets a denoiser of constant noise remove this noise. It
stands on the generalized Anscombe transform and its exact unbiased inverse (`anscombe.py`). `estimate_gain`
(`gain_estimation.py`) finds gain and read noise in one image, and `SignalNoise` (`gradprox.signal_noise`, which needs
no torch) holds the two. `clear_signal_noise` (`image_noise.py`) decides whether the noise of a file depends on the
signal. `weighted_noise` (`weights.py`) weights the measurements of a data term by their variances.
"""

from gradprox.noise.anscombe import GeneralizedAnscombe
from gradprox.noise.gain_estimation import GainEstimate, estimate_gain
from gradprox.noise.image_noise import clear_signal_noise
from gradprox.noise.stabilized_denoiser import Stabilization, StabilizedDenoiser
from gradprox.noise.weights import WeightedNoise, weighted_noise
from gradprox.signal_noise import SignalNoise, parse_signal_noise

__all__ = [
    "GainEstimate",
    "GeneralizedAnscombe",
    "SignalNoise",
    "Stabilization",
    "StabilizedDenoiser",
    "WeightedNoise",
    "clear_signal_noise",
    "estimate_gain",
    "parse_signal_noise",
    "weighted_noise",
]
