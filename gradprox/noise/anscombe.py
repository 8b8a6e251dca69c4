r"""The generalized Anscombe transform, and its exact unbiased inverse.

Let ``y = gain p + read n``, where ``p`` is Poisson of mean ``x / gain`` and ``n`` is standard Gaussian. Then

    f(y) = 2 sqrt(max(0, y / gain + 3/8 + (read / gain)^2))

has a variance near 1 for all ``x`` but the darkest (Starck, Murtagh and Bijaoui, 1998). A denoiser of constant noise
estimates ``E[f(y)]``. The algebraic inverse of ``f`` turns that into an image that is too dark, because ``f`` is
concave. The exact unbiased inverse is the function ``E[f(y)] -> x`` (M. Makitalo and A. Foi, Optimal Inversion of the
Generalized Anscombe Transformation for Poisson-Gaussian Noise, IEEE Trans. Image Process. 2013). It is tabulated here
from its definition. Their closed form is off by up to 0.04 photons.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import poisson
from torch import Tensor

from gradprox.signal_noise import SignalNoise

Values = NDArray[np.float64]
Numbers = TypeVar("Numbers", Tensor, Values)

OFFSET = 3 / 8
# The expectation is summed over the distribution below this variance, in photons, and expanded above.
SUMMED_BELOW = 200.0
# Largest mean of the table, in photons. Beyond it the table's last correction is off by less than 0.01 photons.
LARGEST_MEAN = 1e4
TABLE_LENGTH = 4001
# Standard Gaussian noise by the trapezoidal rule.
DEVIATIONS = np.linspace(-8, 8, 4001)
DENSITY = np.exp(-(DEVIATIONS**2) / 2)
DENSITY /= DENSITY.sum()


class GeneralizedAnscombe:
    """The transform of one camera, and its inverse. Both work on tensors of any shape.

    Args:
        gain: brightness of one photon, on the scale of the images.
        read: standard deviation of the read noise, on the same scale.

    Raises:
        InputError: the gain is not positive and finite, or the read noise is negative or not finite.

    Example:
        >>> import torch
        >>> transform = GeneralizedAnscombe(gain=0.05, read=0.01)
        >>> signal = torch.tensor([0.1, 0.5, 1.0])
        >>> transform.inverse(transform.expectation(signal))
        tensor([0.1000, 0.5000, 1.0000])
    """

    def __init__(self, gain: float, read: float) -> None:
        self.noise = SignalNoise(gain, read)
        self._read = read / gain  # in photons
        means = LARGEST_MEAN * np.linspace(0, 1, TABLE_LENGTH) ** 2
        expected = _expectation(means, self._read)
        self._expected = torch.from_numpy(expected)
        # The correction of the algebraic inverse varies slowly, so linear interpolation suffices.
        self._correction = torch.from_numpy(means - _algebraic_inverse(expected, self._read))

    def __call__(self, y: Tensor) -> Tensor:
        """Return ``f(y)``, whose noise has a variance near 1; shaped like ``y``."""
        return 2 * (y / self.noise.gain + OFFSET + self._read**2).clamp_min(0).sqrt()

    def expectation(self, x: Tensor) -> Tensor:
        """Return ``E[f(y)]`` of measurements ``y`` of the signals ``x``; those below 0 are taken as 0."""
        photons = x.detach().cpu().double().numpy().clip(min=0) / self.noise.gain
        return torch.from_numpy(_expectation(photons.flatten(), self._read).reshape(x.shape)).to(x)

    def inverse(self, expected: Tensor) -> Tensor:
        """Return the signals ``x >= 0`` with ``E[f(y)] = expected``; values that no signal has give 0."""
        # Two moves, because some devices have no double precision.
        nodes = self._expected.to(expected.dtype).to(expected.device)
        values = self._correction.to(expected.dtype).to(expected.device)
        inside = expected.clamp(nodes[0], nodes[-1])
        right = torch.searchsorted(nodes, inside.detach().contiguous()).clamp(1, len(nodes) - 1)
        left = right - 1
        # In single precision, neighbors may be equal if the read noise is large.
        step = (nodes[right] - nodes[left]).clamp_min(torch.finfo(nodes.dtype).tiny)
        share = (inside - nodes[left]) / step
        correction = torch.lerp(values[left], values[right], share)
        photons = _algebraic_inverse(expected.clamp_min(nodes[0]), self._read) + correction
        return self.noise.gain * photons.clamp_min(0)


def _algebraic_inverse(values: Numbers, read: float) -> Numbers:
    """Return the photons ``p`` with ``f(p) = values``."""
    return values**2 / 4 - OFFSET - read**2


def _expectation(means: Values, read: float) -> Values:
    """Return ``E[f]`` of Poisson means ``(N,)`` with Gaussian read noise, all in photons."""
    expected = _expanded(means, read)
    few = means + read**2 < SUMMED_BELOW
    expected[few] = _summed(means[few], read)
    return expected


def _summed(means: Values, read: float) -> Values:
    """Return ``E[f]`` summed over the distributions."""
    largest = means.max(initial=0.0)
    photons = np.arange(math.ceil(largest + 12 * math.sqrt(largest) + 20))
    measured = photons[:, None] + read * DEVIATIONS
    of_photons = 2 * np.sqrt((measured + OFFSET + read**2).clip(min=0)) @ DENSITY
    return poisson.pmf(photons, means[:, None]) @ of_photons


def _expanded(means: Values, read: float) -> Values:
    """Return ``E[f]`` by the expansion of the root to fourth order around the mean."""
    variance = means + read**2
    at = variance + OFFSET
    second, third, fourth = variance, means, 3 * variance**2 + means
    return 2 * np.sqrt(at) * (1 - second / (8 * at**2) + third / (16 * at**3) - 5 * fourth / (128 * at**4))
