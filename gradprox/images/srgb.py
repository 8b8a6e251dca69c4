"""The sRGB curve between stored values and linear light (IEC 61966-2-1). A lens blurs light, not stored values."""

from __future__ import annotations

import torch
from torch import Tensor

# The curve is linear near black and a power above the knee.
_SLOPE, _OFFSET, _POWER = 12.92, 0.055, 2.4
_KNEE_DISPLAY = 0.04045
_KNEE_LIGHT = 0.0031308


def to_linear_light(display: Tensor) -> Tensor:
    """Return the linear light of sRGB values on the scale ``[0, 1]``, of any shape.

    The curve is extended as an odd function, so that `to_display` is its inverse everywhere.
    """
    size = display.abs()
    power = ((size + _OFFSET) / (1 + _OFFSET)).pow(_POWER)
    return torch.where(size <= _KNEE_DISPLAY, size / _SLOPE, power) * display.sign()


def to_display(light: Tensor) -> Tensor:
    """Return the sRGB values of linear light on the scale ``[0, 1]``: the inverse of `to_linear_light`."""
    size = light.abs()
    power = (1 + _OFFSET) * size.clamp_min(_KNEE_LIGHT).pow(1 / _POWER) - _OFFSET
    return torch.where(size <= _KNEE_LIGHT, _SLOPE * size, power) * light.sign()
