r"""The power spectrum of a photo, and how well a blur kernel explains it.

The logarithm of the power spectrum of a sharp photo is smooth: it is close to a sum of few functions of the frequency,
with weights ``w`` that differ from photo to photo as a Gaussian prior says. With the kernel ``k`` and white noise, a
block of the photo has the power

    V(f) = exp(basis(f) . w) |k^(f)|^2 + noise^2

and its Fourier coefficients have the log-likelihood ``- sum_f (P / V + log V)``, where ``P`` is the mean power of ``n``
blocks, times ``n`` (Whittle 1953). The *evidence* of a kernel is this likelihood with the weights integrated out by
Laplace's method. It needs no restored image. It prefers the true kernel, where the objective of a restoration prefers
a kernel that blurs less (Levin, Weiss, Durand and Freeman, CVPR 2009).

The blocks of a photo are no period of it, so their window smears the response of the kernel. Its expectation is exact
for a smooth spectrum: the autocorrelation of the kernel times that of the window, transformed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from gradprox.errors import InputError

# Pixels per side of a block; the smallest side of a photo.
BLOCK = 64
# Frequencies below this many periods in a block are left out: the window smears them.
LOWEST_FREQUENCY = 3
# Mean and standard deviation of the weights of the basis, fitted to the spectra of 200 sharp photos of BSDS400. Only
# the first deviation, that of the contrast, is larger than on these photos: little contrast is no sign of blur.
MEANS = (-4.22, -1.93, -1.38, -0.03, 0.0, 0.19, 0.0, 0.0, 0.0, 0.02, 0.04, 0.22, 0.31)
DEVIATIONS = (3.0, 0.52, 0.42, 0.39, 0.26, 0.22, 0.12, 0.18, 0.12, 0.12, 0.11, 0.55, 0.60)
# Power relative to that of the noise which noise alone hardly reaches.
CLEAR = 3.0
# How many of the largest powers tell a regular texture: a few frequencies and those next to them.
PEAKS = 5
# Newton steps towards the weights, and how many kernels are fitted at once, which limits the memory.
STEPS, AT_ONCE = 8, 32
# A response below this is rounding.
LEAST_RESPONSE = 1e-12


@dataclass(frozen=True)
class PhotoSpectrum:
    """The power spectrum of a photo at ``F`` frequencies.

    Attributes:
        power: mean power of the blocks, ``(F,)`` of float64.
        blocks: number of blocks that the photo would fill without overlap.
        noise: power of the noise.
    """

    power: Tensor
    blocks: float
    noise: float

    @classmethod
    def of(cls, y: Tensor, noise: float) -> PhotoSpectrum:
        """Return the spectrum of a gray photo ``(1, 1, H, W)`` with noise of standard deviation ``noise``.

        Raises:
            InputError: a side is below `BLOCK` pixels.
        """
        height, width = y.shape[-2:]
        if min(height, width) < BLOCK:
            raise InputError(
                f"{height}x{width} pixels are too few to estimate a blur: give at least {BLOCK}x{BLOCK}"
            )
        window = _window()
        total, count = torch.zeros(BLOCK, BLOCK, dtype=torch.float64), 0
        for top in _starts(height):  # strip by strip, because overlapping blocks take four times the memory
            strip = y[0, 0, top : top + BLOCK].cpu().double()
            blocks = torch.stack([strip[:, left : left + BLOCK] for left in _starts(width)])
            means = (blocks * window).sum(dim=(1, 2), keepdim=True) / window.sum()
            total += torch.fft.fft2((blocks - means) * window).abs().square().sum(dim=0)
            count += len(blocks)
        return cls((total / count)[_used()], height * width / BLOCK**2, noise**2)

    @property
    def signal_share(self) -> float:
        """The share of the frequencies where the photo has clearly more power than the noise."""
        return float((self.power > CLEAR * self.noise).double().mean())

    def evidence(self, kernels: Sequence[Tensor]) -> Tensor:
        """Return the log-evidence of each kernel ``(1, 1, h, w)``, ``(N,)``; higher is better.

        Raises:
            InputError: a kernel is larger than a block.
        """
        responses = [smeared_response(kernel) for kernel in kernels]
        parts = [
            self._evidence(torch.stack(responses[i : i + AT_ONCE])) for i in range(0, len(responses), AT_ONCE)
        ]
        return torch.cat(parts)

    def peaks(self, kernel: Tensor) -> float:
        """Return the mean of the `PEAKS` largest powers of the photo, relative to those that a kernel explains.

        A regular texture, such as striped cloth, has peaks in its spectrum, which is not smooth then.
        """
        response = smeared_response(kernel)[None]
        variance = self._variance(self.fitted_weights(response), response)
        return float((self.power / variance).topk(PEAKS).values.mean())

    def _evidence(self, responses: Tensor) -> Tensor:
        """Return the same for responses ``(N, F)``."""
        weights = self.fitted_weights(responses)
        _, curvature = self._derivatives(weights, responses)
        # Laplace: the volume of the posterior, relative to that of the prior.
        volume = -torch.linalg.slogdet(curvature)[1] / 2 - _deviations().log().sum()
        return self.log_density(weights, responses) + volume

    def fitted_weights(self, responses: Tensor, start: Tensor | None = None, steps: int = STEPS) -> Tensor:
        """Return the most probable weights ``(N, P)``, by Newton's method with damping (Levenberg and Marquardt).

        Args:
            responses: of kernels, ``(N, F)``.
            start: the first weights; the means of the prior if None.
            steps: number of iterations.
        """
        weights = _means().repeat(len(responses), 1) if start is None else start
        damping = torch.full((len(responses),), 1e-3, dtype=torch.float64)
        value = self.log_density(weights, responses)
        for _ in range(steps):
            gradient, curvature = self._derivatives(weights, responses)
            damped = curvature + damping[:, None, None] * torch.diag_embed(torch.diagonal(curvature, 0, 1, 2))
            moved = weights + torch.linalg.solve(damped, gradient).clamp(-3, 3)
            new = self.log_density(moved, responses)
            better = new > value
            weights = torch.where(better[:, None], moved, weights)
            damping = torch.where(better, 0.3 * damping, 10 * damping)
            value = torch.maximum(new, value)
        return weights

    def log_density(self, weights: Tensor, responses: Tensor) -> Tensor:
        """Return the log-density of the photo and of weights ``(N, P)``, up to a constant, ``(N,)``."""
        variance = self._variance(weights, responses)
        likelihood = -self.blocks * (self.power / variance + variance.log()).sum(dim=1)
        return likelihood - ((weights - _means()) / _deviations()).square().sum(dim=1) / 2

    def _variance(self, weights: Tensor, responses: Tensor) -> Tensor:
        """Return ``V``, ``(N, F)``."""
        return responses * torch.exp(weights @ _basis().T) + self.noise

    def _derivatives(self, weights: Tensor, responses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient ``(N, P)`` of the log-density and its Fisher information ``(N, P, P)``."""
        basis = _basis()
        sharp = responses * torch.exp(weights @ basis.T)
        variance = sharp + self.noise
        share = sharp / variance
        gradient = self.blocks * ((self.power / variance - 1) * share) @ basis
        gradient = gradient - (weights - _means()) / _deviations().square()
        rows, columns = torch.triu_indices(basis.shape[1], basis.shape[1])
        information = torch.diag(_deviations() ** -2).repeat(len(weights), 1, 1)
        entries = self.blocks * share.square() @ _products()
        information[:, rows, columns] += entries
        information[:, columns, rows] = information[:, rows, columns]
        return gradient, information


def smeared_response(kernel: Tensor) -> Tensor:
    """Return the expected power of a block of white noise blurred by a kernel ``(1, 1, h, w)``, ``(F,)``.

    Raises:
        InputError: the kernel is larger than a block.
    """
    if max(kernel.shape[-2:]) > BLOCK:
        raise InputError(f"a kernel of more than {BLOCK} pixels per side has no response in a block")
    period = 2 * BLOCK  # room for all lags
    power = torch.fft.fft2(kernel[0, 0].double().cpu(), s=(period, period)).abs().square()
    lags = torch.fft.ifft2(power).real * _window_lags()
    return torch.fft.fft2(lags).real[::2, ::2][_used()].clamp_min(LEAST_RESPONSE)


def _starts(length: int) -> list[int]:
    """Return where overlapping blocks begin along a side; the first and the last touch its ends."""
    count = math.ceil((length - BLOCK) / (BLOCK / 2)) + 1
    return [round(i * (length - BLOCK) / max(count - 1, 1)) for i in range(count)]


@lru_cache
def _window() -> Tensor:
    """Return a Hann window ``(BLOCK, BLOCK)`` of norm 1."""
    line = torch.hann_window(BLOCK, dtype=torch.float64)
    return line[:, None] * line / line.square().sum()


@lru_cache
def _window_lags() -> Tensor:
    """Return the autocorrelation of the window, ``(2 BLOCK, 2 BLOCK)``."""
    power = torch.fft.fft2(_window(), s=(2 * BLOCK, 2 * BLOCK)).abs().square()
    return torch.fft.ifft2(power).real


def _frequencies() -> tuple[Tensor, Tensor]:
    """Return the vertical and the horizontal frequencies of a block, in periods per pixel."""
    line = torch.fft.fftfreq(BLOCK, dtype=torch.float64)
    vertical, horizontal = torch.meshgrid(line, line, indexing="ij")
    return vertical, horizontal


@lru_cache
def _used() -> Tensor:
    """Return whether a frequency is used: one of each conjugate pair, and not the lowest."""
    vertical, horizontal = _frequencies()
    half = (horizontal > 0) | ((horizontal == 0) & (vertical > 0))
    return half & (torch.hypot(vertical, horizontal) >= LOWEST_FREQUENCY / BLOCK)


@lru_cache
def _basis() -> Tensor:
    """Return the functions of the frequency, ``(F, P)``: radial, angular, and the two axes, where borders show."""
    vertical, horizontal = (f[_used()] for f in _frequencies())
    radius, angle = torch.hypot(vertical, horizontal), torch.atan2(vertical, horizontal)
    slope = (radius / 0.15).log()
    c2, s2, c4, s4 = (2 * angle).cos(), (2 * angle).sin(), (4 * angle).cos(), (4 * angle).sin()
    near_axes = [torch.exp(-((f * BLOCK / 1.5) ** 2)) for f in (vertical, horizontal)]
    softness = 4 * radius.square() - 0.3
    functions = [torch.ones_like(slope), slope, softness, c2, s2, c4, s4, slope * c2, slope * s2, slope * c4]
    return torch.stack([*functions, (8 * angle).cos(), *near_axes], dim=1)


@lru_cache
def _products() -> Tensor:
    """Return the products of all pairs of functions, each pair once, ``(F, P (P + 1) / 2)``."""
    basis = _basis()
    rows, columns = torch.triu_indices(basis.shape[1], basis.shape[1])
    return basis[:, rows] * basis[:, columns]


@lru_cache
def _means() -> Tensor:
    return torch.tensor(MEANS, dtype=torch.float64)


@lru_cache
def _deviations() -> Tensor:
    return torch.tensor(DEVIATIONS, dtype=torch.float64)
