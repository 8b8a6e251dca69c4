r"""Estimation of gain and read noise from one image.

Pairs of local mean and local variance from smooth regions are fitted by ``variance = gain * mean + read^2`` (A. Foi,
M. Trimeche, V. Katkovnik and K. Egiazarian, Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image
Raw-Data, IEEE Trans. Image Process. 2008). The regions are patches of 8x8 pixels in the cosine domain (as in M. Colom
and A. Buades, Analysis and Extension of the Ponomarenko et al. Method, IPOL 2013). The high frequencies of a patch give
its variance. Its low frequencies tell whether it is smooth, by a chi-squared test against the fitted variance. Both are
independent for white Gaussian noise, so the selection does not bias the variances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.optimize import nnls
from scipy.stats import chi2
from torch import Tensor

from gradprox.errors import InputError

Values = NDArray[np.float64]

SIDE = 8  # pixels per side of a patch
STRIDE = 4  # overlapping patches use more of the pairs of neighbors
MOST_PATCHES = 1 << 16  # larger images are sampled
FEWEST_PATCHES = 100
FREQUENCIES = np.add.outer(np.arange(SIDE), np.arange(SIDE))
LOW = (FREQUENCIES > 0) & (FREQUENCIES < SIDE)
HIGH = FREQUENCIES >= SIDE
# Patches of pure noise pass the test of the low frequencies with this probability, and that of the high ones.
SMOOTH, PLAUSIBLE = 0.95, 0.999
ROUNDS = 8  # of selecting patches; the selection settles in fewer
REWEIGHTINGS = 4  # of one fit, because weights depend on the fitted variance
LEAST_VARIANCE = 0.01  # of a weight, relative to the typical variance
CLIPPED = 1e-3  # more pixels than this share at the extreme value mean that values were clipped
CLIPPED_WITHIN = 2  # standard deviations from a clipped value, where clipping changes the variance
LEAST_RANGE = 1.5  # ratio of the largest to the smallest signal, to tell gain and read noise apart
OVERLAP = (SIDE / STRIDE) ** 2  # patches that share a pixel
GROUPS = 5  # of signals, to test the law
GROUP_ERRORS = 2  # standard errors by which a group may deviate from the law
# An estimate is clear if the variance changes by this factor, the gain exceeds its error by this one, and the law fits.
CLEAR_RATIO, CLEAR_ERRORS, CLEAR_MISFIT = 2.0, 5.0, 0.05


@dataclass(frozen=True)
class GainEstimate:
    """Gain and read noise of an image, on the scale of its pixels: ``variance = gain * signal + read^2``.

    Attributes:
        gain: slope of the variance; 0 where the variance does not grow with the signal.
        read: standard deviation at black. Its estimate is uncertain where smooth dark regions are missing.
        gain_error: standard error of ``gain``, from the number of smooth patches.
        signals: range of the signals of smooth patches, without the lowest and highest 5 %.
        misfit: the largest relative deviation of the mean variance of a fifth of the signals from the law, less two
            standard errors; 0 if the law fits.
    """

    gain: float
    read: float
    gain_error: float
    signals: tuple[float, float]
    misfit: float

    @property
    def is_clear(self) -> bool:
        """Whether the variance clearly follows the signal: if not, assume a constant noise level."""
        darkest, brightest = (self.gain * max(signal, 0.0) + self.read**2 for signal in self.signals)
        return (
            brightest > CLEAR_RATIO * darkest
            and self.gain > CLEAR_ERRORS * self.gain_error
            and self.misfit < CLEAR_MISFIT
        )


def estimate_gain(pixels: Tensor) -> GainEstimate:
    """Estimate gain and read noise of an image.

    The noise must be white, and its variance linear in the pixel values. Values near clipped black or white are left
    out.

    Args:
        pixels: ``(1, C, H, W)``; the channels share gain and read noise.

    Raises:
        InputError: ``pixels`` is not one image; or it is too small, has no noise, too few smooth regions, or too narrow
            a range of signals in them.
    """
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or len(pixels) != 1:
        shape = tuple(getattr(pixels, "shape", ()))
        raise InputError(
            f"expected a tensor of one image (1, C, H, W), got {type(pixels).__name__} of shape {shape}"
        )
    signal, low, high = _patches(pixels)
    limits = _clipped_values(pixels)
    selected = low <= high
    variance = np.full_like(signal, _typical(high, selected))
    for _ in range(ROUNDS):
        least = LEAST_VARIANCE * _typical(high, selected)
        gain, read_variance = _fitted(signal[selected], high[selected], variance[selected], least)
        variance = (gain * signal + read_variance).clip(min=least)
        margin = CLIPPED_WITHIN * np.sqrt(variance)
        selected = (
            (low <= variance * _bound(SMOOTH, LOW))
            & (high <= variance * _bound(PLAUSIBLE, HIGH))
            & (limits[0] + margin < signal)
            & (signal < limits[1] - margin)
        )
    typical = _typical(high, selected)
    signal, high, variance = signal[selected], high[selected], variance[selected]
    darkest, brightest = np.quantile(signal, (0.05, 0.95))
    # Patches of equal signals have different means, because of their noise.
    if brightest < LEAST_RANGE * darkest or brightest - darkest < math.sqrt(typical):
        raise InputError(
            f"smooth regions have signals from {darkest:.3g} to {brightest:.3g} only, too few to tell gain and read "
            "noise apart: give both, or a constant noise level"
        )
    return GainEstimate(
        gain,
        math.sqrt(read_variance),
        _gain_error(signal, variance),
        (float(darkest), float(brightest)),
        _misfit(signal, high / variance),
    )


def _patches(pixels: Tensor) -> tuple[Values, Values, Values]:
    """Return mean, and mean square of low and of high frequencies, of each patch, ``(N,)``."""
    planes = pixels[0].detach().cpu().double().numpy()
    channels, height, width = planes.shape
    if min(height, width) < SIDE:
        raise InputError(f"{height}x{width} pixels are too few to estimate gain and read noise: give both")
    stride = max(STRIDE, math.ceil(math.sqrt(channels * height * width / MOST_PATCHES)))
    windows = np.lib.stride_tricks.sliding_window_view(planes, (SIDE, SIDE), axis=(1, 2))
    patches = windows[:, ::stride, ::stride].reshape(-1, SIDE, SIDE)
    powers = dctn(patches, axes=(1, 2), norm="ortho") ** 2
    return patches.mean(axis=(1, 2)), powers[:, LOW].mean(axis=1), powers[:, HIGH].mean(axis=1)


def _clipped_values(pixels: Tensor) -> tuple[float, float]:
    """Return the values at which pixels were clipped from below and above; infinite where they were not."""
    lowest, highest = pixels.min(), pixels.max()
    clipped = [float((pixels == value).double().mean()) > CLIPPED for value in (lowest, highest)]
    return float(lowest) if clipped[0] else -math.inf, float(highest) if clipped[1] else math.inf


def _typical(high: Values, selected: NDArray[np.bool_]) -> float:
    """Return the median variance of the selected patches, which must suffice and have noise."""
    if selected.sum() < FEWEST_PATCHES:
        raise InputError(
            "the image has too few smooth regions to estimate gain and read noise: give both, or a constant noise level"
        )
    typical = float(np.median(high[selected]))
    if typical == 0:
        raise InputError("smooth regions have no noise: there is no gain to estimate")
    return typical


def _fitted(signal: Values, high: Values, variance: Values, least: float) -> tuple[float, float]:
    """Return gain and read variance, neither negative, by least squares relative to the fitted variance."""
    for _ in range(REWEIGHTINGS):
        columns = np.stack([signal, np.ones_like(signal)], axis=1) / variance[:, None]
        (gain, read_variance), _ = nnls(columns, high / variance)
        variance = (gain * signal + read_variance).clip(min=least)
    return float(gain), float(read_variance)


def _bound(probability: float, frequencies: NDArray[np.bool_]) -> float:
    """Return the value that the mean square of unit noise at some frequencies stays below with a probability."""
    count = int(frequencies.sum())
    return float(chi2.ppf(probability, count)) / count


def _gain_error(signal: Values, variance: Values) -> float:
    """Return the standard error of the gain: a mean square of ``n`` frequencies has the relative variance ``2 / n``."""
    columns = np.stack([signal, np.ones_like(signal)], axis=1) / variance[:, None]
    return math.sqrt(np.linalg.inv(columns.T @ columns)[0, 0] * OVERLAP * 2 / HIGH.sum())


def _misfit(signal: Values, ratios: Values) -> float:
    """Return the misfit of the law, from the ratio of measured to fitted variance of each patch."""
    groups = np.array_split(ratios[np.argsort(signal)], GROUPS)
    error = math.sqrt(OVERLAP * 2 / (HIGH.sum() * len(groups[-1])))
    return max(0.0, max(abs(float(group.mean()) - 1) for group in groups) - GROUP_ERRORS * error)
