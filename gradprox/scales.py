"""The scale of images and noise: black is 0 and white is 1.

Values outside ``[0, 1]`` are legal: noise, highlights, and scales of other instruments. The limits here are far beyond
them, and tell only gray levels of 255 apart.
"""

from __future__ import annotations

import math

from gradprox.errors import InputError

# Values of a file this far outside belong to another scale, such as 0 to 255.
LARGEST_VALUE = 20.0
# Values in memory may be those of linear light, which are larger: 9 in a file is about 170 of light.
LARGEST_IN_MEMORY = 200.0
# A noise level above that of white is written in gray levels.
LARGEST_NOISE = 1.0
# Noise a little beyond the training needs no warning.
MARGIN = 1.05


def wrong_value(value: float, limit: float = LARGEST_VALUE) -> str | None:
    """Return the message about an image whose value of largest modulus is this one; None if it is on the scale."""
    if abs(value) <= limit:
        return None
    return f"values reach {value:g}, but black is 0 and white is 1: divide them by the value of white, for example 255"


def wrong_in_memory(value: float) -> str | None:
    """Return the same for an image in memory; None for infinite values too, which solvers and models refuse."""
    return wrong_value(value, LARGEST_IN_MEMORY) if abs(value) < math.inf else None


def check_noise(name: str, level: float, text: str | None = None) -> None:
    """Refuse a noise level that is written in gray levels.

    Args:
        name: the name of the argument, for the message.
        level: a finite noise level.
        text: the number or the fraction that it was read from, if any.

    Raises:
        InputError: it is above 1, the level of white.
    """
    if level > LARGEST_NOISE:
        written = f"{level:g}" if text is None else text
        gray = written.partition("/")[0].strip()
        raise InputError(f"{name} {written}: black is 0 and white is 1: write gray levels as {gray}/255")


def parse_level(text: str) -> float:
    """Read a noise level from a number or a fraction, for example ``0.1`` or ``25/255``.

    Returns:
        A standard deviation in ``[0, 1]``, on the scale of images in ``[0, 1]``.

    Raises:
        InputError: the text is no number, is negative or not finite, or is above 1, the level of white.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        level = float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"noise level {text}: write a number or a fraction, for example 0.1 or 25/255"
        ) from error
    if not math.isfinite(level) or level < 0:
        raise InputError(f"noise level {text}: must be finite and not negative")
    check_noise("noise level", level, text)
    return level


def beyond_training(name: str, trained: tuple[float, float]) -> str:
    """Return the warning about noise beyond the levels that a model was trained for.

    The text is the same for all levels, so that Python shows it once per model.
    """
    low, high = (f"{255 * level:.4g}/255" for level in trained)
    return f"{name} is made for noise from {low} to {high}: with more noise than that, it restores badly"
