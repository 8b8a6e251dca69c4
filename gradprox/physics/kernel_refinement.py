r"""Scale and turn a blur kernel until it explains the power spectrum of a photo.

The power spectrum of a natural image is about ``c / |f|^2`` at the frequency ``f``. So a photo with the kernel ``k``
has about the power ``V = c |k^(f)|^2 / |f|^2 + noise^2``, and its Fourier coefficients ``Y`` have the log-likelihood

    - sum_f (|Y|^2 / V + log V)

up to a constant (Whittle 1953), as if they were independent and Gaussian. It needs no restored image. The logarithm
makes it prefer the true kernel, where the objective of a restoration prefers a kernel that blurs less (Levin, Weiss,
Durand and Freeman, CVPR 2009).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import affine_transform, center_of_mass
from torch import Tensor

from gradprox.errors import InputError
from gradprox.kernels.formulas import normalized

# Searched versions of the kernel: first these, then a grid of the same size with a third of the distances.
SCALES = (0.75, 0.85, 1.0, 1.15, 1.3)
TURNS = (-15.0, -7.5, 0.0, 7.5, 15.0)
FINER = 1 / 3
# Side of the part of the photo that is looked at.
LARGEST_SIDE = 512
# Values of c, for images in [0, 1].
POWERS = tuple(10.0**exponent for exponent in np.arange(-6, -1.5, 0.5))
# Gain of log-likelihood per frequency below which the given kernel stays: a photo whose spectrum differs from c / |f|^2
# gains as much with a wrong kernel. Chosen on photos of BSDS400.
LEAST_GAIN = 0.025
# Frequencies below this many periods in the photo are left out: the window smears them.
LOWEST_FREQUENCY = 3


@dataclass(frozen=True)
class Refinement:
    """A version of a kernel.

    Attributes:
        kernel: ``(1, 1, h, w)``.
        scale: its size relative to the given kernel.
        turn: its angle against the given kernel in degrees, counter-clockwise.
    """

    kernel: Tensor
    scale: float
    turn: float


def refine_kernel(y: Tensor, kernel: Tensor, noise: float) -> Refinement:
    """Return the version of a kernel, scaled and turned a little, with the largest likelihood.

    The given kernel stays if no version explains the photo clearly better.

    Args:
        y: a blurred photo, ``(1, C, H, W)``.
        kernel: ``(1, 1, h, w)``.
        noise: standard deviation of the noise.

    Raises:
        InputError: several photos or kernels, or a noise level that is not positive.
    """
    if len(y) != 1 or kernel.shape[:2] != (1, 1):
        raise InputError("give one kernel and one photo at a time to refine the kernel")
    if not noise > 0:
        raise InputError("the noise level must be positive to refine a kernel")
    spectrum = _Spectrum.of(y, noise)
    best = given = Refinement(kernel, 1.0, 0.0)
    most = least = spectrum.log_likelihood(kernel)
    for fineness in (1.0, FINER):
        for scale, turn in _around(best, fineness):
            found = Refinement(scaled_and_turned(kernel, scale, turn), scale, turn)
            likelihood = spectrum.log_likelihood(found.kernel)
            if likelihood > most:
                best, most = found, likelihood
    return best if most - least > LEAST_GAIN * float(spectrum.used.sum()) else given


def _around(center: Refinement, fineness: float) -> Iterator[tuple[float, float]]:
    for scale, turn in itertools.product(SCALES, TURNS):
        yield center.scale * scale**fineness, center.turn + fineness * turn


def scaled_and_turned(kernel: Tensor, scale: float, turn: float) -> Tensor:
    """Scale a kernel and turn it by degrees counter-clockwise; its center of mass stays where it is."""
    wide = np.pad(kernel[0, 0].double().cpu().numpy(), max(kernel.shape[-2:]) // 3)
    cosine, sine = np.cos(np.radians(turn)) / scale, np.sin(np.radians(turn)) / scale
    # From a row and a column of the result to those of the kernel; rows count downwards.
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    center = np.array(center_of_mass(wide))
    moved = affine_transform(wide, matrix, center - matrix @ center, order=1).clip(0)
    return torch.from_numpy(normalized(moved))[None, None].to(kernel)


@dataclass(frozen=True)
class _Spectrum:
    """The power spectrum of a photo, ``(H, W // 2 + 1)``.

    Attributes:
        size: ``(H, W)``.
        power: ``|Y|^2``.
        natural: ``1 / |f|^2``.
        used: whether a frequency is used.
        noise: power of the noise.
    """

    size: tuple[int, int]
    power: Tensor
    natural: Tensor
    used: Tensor
    noise: float

    @classmethod
    def of(cls, y: Tensor, noise: float) -> _Spectrum:
        """Return the spectrum of the middle of a photo, averaged over channels first."""
        gray = y[0].mean(dim=0).double()
        top, left = (max(0, (length - LARGEST_SIDE) // 2) for length in gray.shape)
        gray = gray[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE]
        height, width = gray.shape
        rows, columns = (torch.hann_window(n, dtype=gray.dtype, device=gray.device) for n in gray.shape)
        window = rows[:, None] * columns / (rows.square().sum() * columns.square().sum()).sqrt()
        vertical = torch.fft.fftfreq(height, dtype=gray.dtype, device=gray.device)[:, None]
        squared = vertical**2 + torch.fft.rfftfreq(width, dtype=gray.dtype, device=gray.device) ** 2
        used = squared >= (LOWEST_FREQUENCY / min(height, width)) ** 2
        power = torch.fft.rfft2((gray - gray.mean()) * window).abs().square()
        return cls((height, width), power, 1 / squared.clamp_min(1e-12), used, noise**2 / y.shape[1])

    def log_likelihood(self, kernel: Tensor) -> float:
        """Return the log-likelihood of a kernel with the best ``c``."""
        blurred = torch.fft.rfft2(kernel[0, 0].double(), s=self._period(kernel)).abs().square()
        expected = (blurred * self.natural)[self.used]
        power = self.power[self.used]
        variances = (c * expected + self.noise for c in POWERS)
        return max(float(-(power / variance + variance.log()).sum()) for variance in variances)

    def _period(self, kernel: Tensor) -> tuple[int, int]:
        height, width = kernel.shape[-2:]
        if height > self.size[0] or width > self.size[1]:
            raise InputError(
                f"the kernel ({height}x{width} with a margin for changes) is larger than the photo: crop the kernel"
            )
        return self.size
