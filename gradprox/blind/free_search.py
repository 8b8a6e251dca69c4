"""Several estimates of a kernel of any shape, and the choice by the power spectrum of the photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from gradprox.blind.families import Member, no_blur
from gradprox.blind.free_kernel import FreeSettings, free_kernel
from gradprox.blind.photo_spectrum import PhotoSpectrum

# Sides that are tried in turn while the kernel reaches the border.
SIDES = (31, 61)
# A kernel with more than this share in the outermost pixels may be cut off.
CUT_OFF = 0.02
# The evidence of a kernel of any shape is reduced by this for each of its values above this share of the largest: its
# many values explain any spectrum better than the few parameters of a family.
PRICE, COUNTED = 2.0, 0.1
# The settings of the estimates, whose evidence decides.
CANDIDATES = tuple(
    FreeSettings(least_weight, damping, least_value)
    for least_weight, damping, least_value in (
        (1e-3, 4.0, 0.1),
        (1e-3, 4.0, 0.05),
        (3e-4, 4.0, 0.05),
        (5e-4, 10.0, 0.1),
        (1e-3, 30.0, 0.1),
    )
)


def best_free_kernel(
    y: Tensor, spectrum: PhotoSpectrum, side: int | None, report: Callable[[float], None]
) -> Member:
    """Return the free kernel with the largest evidence; no blur if the photo has no edges.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        spectrum: of the photo.
        side: odd number of pixels per side; `SIDES` are tried if None.
        report: receives the finished share of the work.
    """
    largest = (min(y.shape[-2:]) // 3 - 1) // 2 * 2 + 1
    sides = (side,) if side is not None else tuple(dict.fromkeys(min(s, largest) for s in SIDES))
    kernel, agreement = no_blur(), 0.0
    for number, current in enumerate(sides):
        found = []
        for candidate, settings in enumerate(CANDIDATES):
            share = _Share(report, number * len(CANDIDATES) + candidate, len(sides) * len(CANDIDATES))
            estimate = free_kernel(y, current, settings, share)
            found += [] if estimate is None else [estimate]
        if not found:
            break
        kernel = found[int(spectrum.evidence(found).argmax())]
        agreement = median(similarity(kernel, other) for other in found)
        if border_share(kernel) <= CUT_OFF:
            break
    report(1.0)
    values = int((kernel > COUNTED * kernel.max()).sum())
    return Member("free", (), kernel, float(spectrum.evidence([kernel])) - PRICE * values, agreement)


def similarity(first: Tensor, second: Tensor) -> float:
    """Return the largest normalized correlation of two kernels of one size over all shifts, in ``[0, 1]``."""
    size = [2 * side for side in first.shape[-2:]]
    spectra = [torch.fft.rfft2(kernel.double(), s=size) for kernel in (first, second)]
    correlation = torch.fft.irfft2(spectra[0] * spectra[1].conj(), s=size)
    return float(correlation.max() / (first.double().norm() * second.double().norm()))


@dataclass(frozen=True)
class _Share:
    """Reports one of several equal parts of the work."""

    report: Callable[[float], None]
    number: int
    parts: int

    def __call__(self, share: float) -> None:
        """Receive the finished share of this part."""
        self.report((self.number + share) / self.parts)


def border_share(kernel: Tensor) -> float:
    """Return the share of a kernel ``(1, 1, h, w)`` in the outermost pixels."""
    return float(1 - kernel[..., 1:-1, 1:-1].sum() / kernel.sum())
