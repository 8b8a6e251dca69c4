"""Display values and linear light: a lens blurs light, and a file stores about its square root."""

from __future__ import annotations

import torch
from torch import Tensor

# IEC 61966-2-1, sRGB: linear near black, a power above.
_SLOPE, _OFFSET, _POWER = 12.92, 0.055, 2.4
_KNEE_DISPLAY = 0.04045
_KNEE_LIGHT = 0.0031308


def to_linear_light(display: Tensor) -> Tensor:
    """Return the light of sRGB values on the scale ``[0, 1]`` (IEC 61966-2-1), any shape.

    Values outside go on oddly, so that `to_display` undoes it everywhere.
    """
    size = display.abs()
    power = ((size + _OFFSET) / (1 + _OFFSET)).pow(_POWER)
    return torch.where(size <= _KNEE_DISPLAY, size / _SLOPE, power) * display.sign()


def to_display(light: Tensor) -> Tensor:
    """Return the sRGB values of light on the scale ``[0, 1]``: the inverse of `to_linear_light`."""
    size = light.abs()
    power = (1 + _OFFSET) * size.clamp_min(_KNEE_LIGHT).pow(1 / _POWER) - _OFFSET
    return torch.where(size <= _KNEE_LIGHT, _SLOPE * size, power) * light.sign()
