"""Which kind of noise an image file has: noise of constant level, or noise that depends on the signal."""

from __future__ import annotations

from gradprox.errors import InputError
from gradprox.images import ImageData
from gradprox.images.srgb import to_linear_light
from gradprox.noise.gain_estimation import estimate_gain
from gradprox.signal_noise import SignalNoise


def clear_signal_noise(image: ImageData, *, linear_light: bool = False) -> SignalNoise | None:
    """Return gain and read noise of an image if its variance clearly follows the signal; None for a constant level.

    Files that were compressed with losses always have a constant level: their errors depend on texture, not on
    brightness.

    Args:
        image: from a file.
        linear_light: whether to estimate the noise of linear light instead of stored sRGB values.
    """
    encoding = image.metadata.encoding
    if encoding.lossy or encoding.luma_steps is not None:
        return None
    try:
        found = estimate_gain(to_linear_light(image.pixels) if linear_light else image.pixels)
    except InputError:  # nothing to tell gain and read noise by
        return None
    return SignalNoise(found.gain, found.read) if found.is_clear else None
