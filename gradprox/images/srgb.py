"""The sRGB curve between stored values and linear light (IEC 61966-2-1). A lens blurs light, not stored values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from gradprox.images.tensors import namespace_of

if TYPE_CHECKING:
    from gradprox.images.tensors import Tensor

Values = TypeVar("Values", NDArray[Any], "Tensor")

# The curve is linear near black and a power above the knee.
_SLOPE, _OFFSET, _POWER = 12.92, 0.055, 2.4
_KNEE_DISPLAY = 0.04045
_KNEE_LIGHT = 0.0031308


def to_linear_light(display: Values) -> Values:
    """Return the linear light of sRGB values on the scale ``[0, 1]``, a tensor or an array of any shape.

    The curve is extended as an odd function, so that `to_display` is its inverse everywhere.
    """
    xp = namespace_of(display)
    size = abs(display)
    power = ((size + _OFFSET) / (1 + _OFFSET)) ** _POWER
    light: Values = xp.where(size <= _KNEE_DISPLAY, size / _SLOPE, power) * xp.sign(display)
    return light


def light_per_display(display: Values) -> Values:
    """Return the slope of `to_linear_light`: how much small changes of stored values change the light."""
    xp = namespace_of(display)
    size = abs(display)
    power = _POWER / (1 + _OFFSET) * ((size + _OFFSET) / (1 + _OFFSET)) ** (_POWER - 1)
    slope: Values = xp.where(size <= _KNEE_DISPLAY, 1 / _SLOPE, power)
    return slope


def to_display(light: Values) -> Values:
    """Return the sRGB values of linear light on the scale ``[0, 1]``: the inverse of `to_linear_light`."""
    xp = namespace_of(light)
    size = abs(light)
    power = (1 + _OFFSET) * xp.clip(size, _KNEE_LIGHT, None) ** (1 / _POWER) - _OFFSET
    display: Values = xp.where(size <= _KNEE_LIGHT, _SLOPE * size, power) * xp.sign(light)
    return display
