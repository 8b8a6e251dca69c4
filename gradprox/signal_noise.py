"""The noise of a camera: its variance grows with the signal."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gradprox.errors import InputError
from gradprox.scales import parse_level

FORM = "write gain:G,read:R, for example gain:0.01,read:2/255"


@dataclass(frozen=True)
class SignalNoise:
    """Noise of variance ``gain * signal + read^2``: counted photons, and the Gaussian noise of the readout.

    Attributes:
        gain: brightness of one photon, positive; on the scale of the images, where white is 1.
        read: standard deviation of the read noise, not negative; on the same scale.

    Raises:
        InputError: a number is illegal.
    """

    gain: float
    read: float

    def __post_init__(self) -> None:
        if not 0 < self.gain < math.inf:
            raise InputError(
                f"the gain must be positive and finite, got {self.gain:g}; noise without gain is a level"
            )
        if not 0 <= self.read < math.inf:
            raise InputError(f"the read noise must be finite and not negative, got {self.read:g}")

    def level(self, signal: float) -> float:
        """Return the standard deviation of the noise at a signal; that of black below 0."""
        return math.sqrt(self.gain * max(signal, 0.0) + self.read**2)


def parse_signal_noise(text: str) -> SignalNoise:
    """Read gain and read noise from text such as ``gain:0.01,read:2/255``.

    Raises:
        InputError: the text has another form, or a number is illegal.
    """
    form = re.fullmatch(r"gain:([^,]+),read:([^,]+)", text)
    if form is None:
        raise InputError(f"{text}: {FORM}")
    gain, read = (parse_level(number) for number in form.groups())
    return SignalNoise(gain, read)
