"""How far an estimated kernel can be trusted.

Six things speak against a kernel: it hardly explains the spectrum of the photo better than no blur; it is smaller than
a pixel; its phases, if it is a free kernel, explain the photo much less than its power does; if it has few parameters,
a free kernel explains much more; the photo has a regular texture, which looks like a blur and is none; or it shows
hardly anything but noise. The thresholds of the phases were fitted to 78 estimates of 13 shaken photos of BSDS400 and
to 42 of seven sharp ones, before kernels were refined, which is few; others were set by hand. ``docs/figures.md`` shows
how often they err.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradprox.blind.families import Member
from gradprox.blind.photo_spectrum import PhotoSpectrum

# Evidence against no blur, per block of the photo, at which the confidence is one half, and the slope in its logarithm.
HALF_GAIN, GAIN_SLOPE = 2.0, 2.0
# The same for a free kernel, whose many values explain more of a sharp photo.
HALF_FREE_GAIN = 16.0
# The gain of the phases at which the confidence is one half, relative to the gain of the power and at least per block,
# and the slope in its logarithm. A kernel with the right power and wrong phases gains less; on a sharp photo, no kernel
# gained anything.
HALF_PHASE_SHARE, HALF_PHASE_GAIN, PHASE_SLOPE = 0.37, 8.0, 4.0
# `Member.peaks` at which the confidence is one half, and the slope in its logarithm. Of 80 photos of BSDS400 with their
# true kernels, 79 have at most 3.0, and one, with a regular texture, 5.1: this is the geometric mean of the two.
HALF_PEAKS, PEAKS_SLOPE = 3.9, 8.0
# How much more than a family a free kernel may explain: at this ratio the confidence in the family is one half. It is
# the geometric mean of 1.25, the largest ratio of photos of BSDS400 that the family had blurred, and 2, from which the
# free kernel is taken.
HALF_RATIO, RATIO_SLOPE = 1.58, 8.0
# A photo with fewer frequencies above the noise shows nothing.
LEAST_SIGNAL = 0.003
# A kernel whose standard deviation along its longest axis is smaller, in pixels, cannot be told from a soft scene: a
# Gaussian of this sigma, a disk of twice this radius, a motion of this length times the root of 12.
LEAST_SPREAD = 0.75


def confidence_of(spectrum: PhotoSpectrum, member: Member, sharp: float, free: Member | None = None) -> float:
    """Return the confidence in a kernel, in ``[0, 1]``.

    Args:
        spectrum: of the photo.
        member: the kernel.
        sharp: the evidence of no blur.
        free: the best free kernel, where one was estimated, too.
    """
    gain = (member.evidence - sharp) / spectrum.blocks
    if gain <= 0 or spectrum.signal_share < LEAST_SIGNAL or member_spread(member) < LEAST_SPREAD:
        return 0.0
    half = HALF_FREE_GAIN if member.family == "free" else HALF_GAIN
    explains = 1 / (1 + (gain / half) ** -GAIN_SLOPE)
    if member.family != "free":
        ratio = max(0.0, free.evidence - sharp) / (member.evidence - sharp) if free else 0.0
        return min(explains, 1 / (1 + (ratio / HALF_RATIO) ** RATIO_SLOPE))
    if member.phase_gain <= 0:
        return 0.0
    half = max(HALF_PHASE_SHARE * gain, HALF_PHASE_GAIN)
    fits = 1 / (1 + (member.phase_gain / half) ** -PHASE_SLOPE)
    irregular = 1 / (1 + (member.peaks / HALF_PEAKS) ** PEAKS_SLOPE)
    return min(explains, fits, irregular)


def member_spread(member: Member) -> float:
    """Return the standard deviation of a kernel along its longest axis, in pixels."""
    if member.family == "motion":
        # That of the line. Drawn on a grid of pixels, a short line is wider.
        return member.parameters[0] / math.sqrt(12)
    return spread(member.kernel)


def spread(kernel: Tensor) -> float:
    """Return the standard deviation of a kernel ``(1, 1, h, w)`` of sum 1 along its longest axis, in pixels."""
    density = kernel[0, 0].double().cpu()
    places = torch.stack(
        torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in density.shape), indexing="ij")
    ).flatten(1)
    covariance = torch.cov(places, aweights=density.flatten(), correction=0)
    return math.sqrt(float(torch.linalg.eigvalsh(covariance)[-1]))
