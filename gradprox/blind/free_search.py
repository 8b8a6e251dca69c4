"""Several estimates of a kernel of any shape, and the choice by the power spectrum of the photo and by its phases.

An estimate ends in a local optimum, which depends on its first kernel, on its side, and on whether useful gradients are
selected or weighted. No choice of these is the best one for all photos. The evidence of the power spectrum does not
depend on the phases of a kernel, and the evidence of the phases does not depend on its power, so their sum decides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from gradprox.blind.families import Member, no_blur
from gradprox.blind.free_kernel import free_kernel
from gradprox.blind.phases import phase_evidence
from gradprox.blind.photo_spectrum import BLOCK, PhotoSpectrum

# Sides that are tried, in turn: the first two always, and the last one if the best kernel of these is cut off.
SIDES, ALWAYS = (23, 31, 61), 2
# Heights and widths of the first kernels.
FIRST_KERNELS = ((1, 2), (2, 1), (3, 3))
# First kernels, with useful gradients selected or weighted.
STARTS = tuple(itertools.product(FIRST_KERNELS, (True, False)))
# A kernel with more than this share in the outermost pixels may be cut off.
CUT_OFF = 0.02
# The evidence of a kernel of any shape is reduced by this for each of its values above this share of the largest: its
# many values explain any spectrum better than the few parameters of a family.
PRICE, COUNTED = 2.0, 0.1
# A kernel with less than this share of the best gain of the power is not taken, however sparse its phases make the
# photo: the phases of a kernel that was twice too wide gained four times as much as those of the true one.
LEAST_POWER_SHARE = 0.5


def best_free_kernel(
    y: Tensor, spectrum: PhotoSpectrum, side: int | None, report: Callable[[float], None]
) -> Member:
    """Return the free kernel that explains the photo best; no blur if the photo has no edges.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        spectrum: of the photo.
        side: odd number of pixels per side; `SIDES` are tried if None.
        report: receives the finished share of the work.
    """
    largest = (min(y.shape[-2:]) // 3 - 1) // 2 * 2 + 1
    sides = (side,) if side is not None else tuple(dict.fromkeys(min(s, largest) for s in SIDES))
    kernel, phase_gain, found = no_blur(), 0.0, list[Tensor]()
    parts = len(sides) * len(STARTS)
    for number, current in enumerate(sides):
        # A larger side replaces a kernel that is cut off.
        found = [smaller for smaller in found if border_share(smaller) <= CUT_OFF]
        for start, (first, selects) in enumerate(STARTS):
            share = _Share(report, number * len(STARTS) + start, parts)
            estimate = free_kernel(y, current, first, selects, share)
            found += [] if estimate is None else [estimate]
        if not found:
            break
        if number + 1 < min(ALWAYS, len(sides)):
            continue
        kernel, phase_gain = chosen_kernel(y, spectrum, found)
        if border_share(kernel) <= CUT_OFF:
            break
    report(1.0)
    values = int((kernel > COUNTED * kernel.max()).sum())
    evidence = float(spectrum.evidence([kernel])) - PRICE * values
    return Member("free", (), kernel, evidence, phase_gain)


def chosen_kernel(y: Tensor, spectrum: PhotoSpectrum, kernels: Sequence[Tensor]) -> tuple[Tensor, float]:
    """Return the kernel that explains the power spectrum and the phases of a photo best, and its gain of the phases.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        spectrum: of the photo, or of a larger part of it.
        kernels: each ``(1, 1, h, w)``.

    Returns:
        The kernel, and by how much its phases explain the photo better than those of no blur, in nats per block.
    """
    evidence = spectrum.evidence([no_blur(), *kernels])
    power = (evidence[1:] - evidence[0]) / spectrum.blocks
    reference = kernels[int(power.argmax())]
    phases = phase_evidence(y, [no_blur(), *kernels], reference, math.sqrt(spectrum.noise))
    gains = (phases[1:] - phases[0]) * BLOCK**2 / y.numel()
    plausible = power >= power.max() - (1 - LEAST_POWER_SHARE) * power.max().abs()
    best = int((power + gains).where(plausible, -math.inf).argmax())
    return kernels[best], float(gains[best])


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
