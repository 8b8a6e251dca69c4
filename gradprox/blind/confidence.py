"""How far an estimated kernel can be trusted.

Three things speak against a kernel: it hardly explains the spectrum of the photo better than no blur; other settings
lead to other kernels; or the photo shows hardly anything but noise. The threshold of the agreement separates good from
bad kernels on six shaken photos of BSDS400, which is few: ``docs/figures.md`` shows how often it errs on others.
"""

from __future__ import annotations

import math

from gradprox.blind.families import Member
from gradprox.blind.photo_spectrum import PhotoSpectrum

# Evidence against no blur, per block of the photo, at which the confidence is one half, and the slope in its logarithm.
HALF_GAIN, GAIN_SLOPE = 2.0, 2.0
# Agreement of estimates at which the confidence is one half, and the slope.
HALF_AGREEMENT, AGREEMENT_SLOPE = 0.8, 20.0
# A photo with fewer frequencies above the noise shows nothing.
LEAST_SIGNAL = 0.003


def confidence_of(spectrum: PhotoSpectrum, member: Member, sharp: float) -> float:
    """Return the confidence in a kernel, in ``[0, 1]``.

    Args:
        spectrum: of the photo.
        member: the kernel.
        sharp: the evidence of no blur.
    """
    gain = (member.evidence - sharp) / spectrum.blocks
    if gain <= 0 or spectrum.signal_share < LEAST_SIGNAL:
        return 0.0
    explains = 1 / (1 + (gain / HALF_GAIN) ** -GAIN_SLOPE)
    if member.family != "free":
        return explains
    agrees = 1 / (1 + math.exp(AGREEMENT_SLOPE * (HALF_AGREEMENT - member.agreement)))
    return min(explains, agrees)
