"""The noise of an image, of constant level or with gain and read noise: given by ``--noise``, or estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradprox.cli import option_values
from gradprox.cli.jobs import Record
from gradprox.cli.noise_levels import level_of
from gradprox.errors import InputError
from gradprox.signal_noise import SignalNoise, parse_signal_noise

if TYPE_CHECKING:
    from gradprox.images import ImageData


def parse_noise(text: str | None) -> float | SignalNoise | None:
    """Read a noise level, or gain and read noise; return None, to estimate them, for ``auto`` or if there is none.

    Raises:
        InputError: it is none of these.
    """
    if text is None or text == "auto":
        return None
    if not text.startswith("gain:"):
        try:
            return option_values.parse_level(text)
        except InputError as error:
            raise InputError(f"{error}, or gain:G,read:R, or auto") from error
    with option_values.named("--noise"):
        return parse_signal_noise(text)


def noise_of(
    image: ImageData, given: float | SignalNoise | None, *, constant: bool, linear_light: bool = False
) -> tuple[float | SignalNoise, Record]:
    """Return the noise of an image, and the figures and warnings to report.

    An estimate is a constant level, unless the variance clearly follows the signal.

    Args:
        image: from a file.
        given: the value of ``--noise``; None to estimate it.
        constant: whether to estimate a constant level in any case.
        linear_light: whether the noise is that of linear light.

    Raises:
        InputError: the image is too small for an estimate.
    """
    from gradprox.noise import clear_signal_noise

    if isinstance(given, SignalNoise):
        return given, {}
    level, record = level_of(image, given, linear_light=linear_light)
    found = None if given is not None or constant else clear_signal_noise(image, linear_light=linear_light)
    if found is None:
        return level, record
    return found, {"estimated_gain": found.gain, "estimated_read": found.read}
