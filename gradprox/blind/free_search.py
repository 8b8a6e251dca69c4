"""Several estimates of a kernel of any shape, and the mean of those that explain the photo best, refined.

An estimate ends in a local optimum, which depends on its first kernel, on its side, and on whether useful gradients are
selected or weighted. No choice of these is the best one for all photos. The evidence of the power spectrum does not
depend on the phases of a kernel, and the evidence of the phases does not depend on its power, so their sum decides. The
mean of the best kernels is then refined by the same sum (`refinement.py`). Edges restored with it are better, so
kernels are fitted to these once more, and their mean is refined again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from gradprox.blind.families import Member, no_blur
from gradprox.blind.free_kernel import free_kernel, refitted_kernel
from gradprox.blind.phases import phase_evidence
from gradprox.blind.photo_spectrum import BLOCK, PhotoSpectrum
from gradprox.blind.refinement import ascended_kernel, mean_kernel

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
# Kernels with at least this share of the gain of the best one are averaged.
LEAST_GAIN_SHARE = 0.9
# How often kernels are fitted to the edges that a refined one restores, and refined again.
ROUNDS = 2


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
    order, reference, found = list[tuple[Tensor, float]](), no_blur(), list[Tensor]()
    estimates = len(sides) * len(STARTS)
    parts = estimates + 1 + ROUNDS
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
        order, reference = ranked(y, spectrum, found)
        if border_share(order[0][0]) <= CUT_OFF:
            break
    kernel, phase_gain = no_blur(), 0.0
    if order:
        kernel = refined_kernel(
            y, spectrum, order, reference, lambda done: report((estimates + done) / parts)
        )
        phase_gain = float(Gains.of(y, spectrum, [kernel], reference).phases)
    report(1.0)
    values = int((kernel > COUNTED * kernel.max()).sum())
    evidence = float(spectrum.evidence([kernel])) - PRICE * values
    return Member("free", (), kernel, evidence, phase_gain, spectrum.peaks(kernel))


@dataclass(frozen=True)
class Gains:
    """By how much kernels explain a photo better than no blur, in nats per block.

    Attributes:
        power: by their power spectra, ``(N,)``.
        phases: by their phases, ``(N,)``.
    """

    power: Tensor
    phases: Tensor

    @classmethod
    def of(cls, y: Tensor, spectrum: PhotoSpectrum, kernels: Sequence[Tensor], reference: Tensor) -> Gains:
        """Return the gains of kernels.

        Args:
            y: a gray photo ``(1, 1, H, W)``.
            spectrum: of the photo, or of a larger part of it.
            kernels: each ``(1, 1, h, w)``.
            reference: the kernel whose response sets the gain of the filter of the phases.
        """
        kernels = [no_blur(), *kernels]
        evidence = spectrum.evidence(kernels) / spectrum.blocks
        phases = phase_evidence(y, kernels, reference, math.sqrt(spectrum.noise)) * BLOCK**2 / y.numel()
        return cls(evidence[1:] - evidence[0], phases[1:] - phases[0])


def ranked(
    y: Tensor, spectrum: PhotoSpectrum, kernels: Sequence[Tensor]
) -> tuple[list[tuple[Tensor, float]], Tensor]:
    """Return kernels with the sum of their gains, the best one first, without those of little power.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        spectrum: of the photo, or of a larger part of it.
        kernels: each ``(1, 1, h, w)``.

    Returns:
        The kernels with their gains, and the kernel with the largest gain of the power.
    """
    evidence = spectrum.evidence(kernels)
    reference = kernels[int(evidence.argmax())]
    gains = Gains.of(y, spectrum, kernels, reference)
    least = gains.power.max() - (1 - LEAST_POWER_SHARE) * gains.power.max().abs()
    found = [
        (kernel, float(power + phases))
        for kernel, power, phases in zip(kernels, gains.power, gains.phases, strict=True)
        if power >= least
    ]
    return sorted(found, key=lambda pair: -pair[1]), reference


def refined_kernel(
    y: Tensor,
    spectrum: PhotoSpectrum,
    order: Sequence[tuple[Tensor, float]],
    reference: Tensor,
    report: Callable[[int], None],
) -> Tensor:
    """Return the mean of the best kernels after some steps that increase its gains, refined in `ROUNDS` more rounds.

    A better kernel restores better edges, to which kernels are fitted again. The mean of these and of that kernel then
    takes the same steps.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        spectrum: of the photo, or of a larger part of it.
        order: kernels with their gains, the best one first.
        reference: the kernel with the largest gain of the power.
        report: receives the number of finished refinements: 1 for the first one, and one more for each round.
    """
    least = order[0][1] - (1 - LEAST_GAIN_SHARE) * abs(order[0][1])
    mean = mean_kernel([kernel for kernel, gain in order if gain >= least])
    refined = ascended_kernel(y, spectrum, mean, reference)
    report(1)
    for number in range(ROUNDS):
        refitted = (refitted_kernel(y, refined, selects) for selects in (True, False))
        mean = mean_kernel([refined, *(kernel for kernel in refitted if kernel is not None)])
        refined = ascended_kernel(y, spectrum, mean, reference)
        report(2 + number)
    return refined


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
