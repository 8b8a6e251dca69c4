"""Seeded draws of transform coefficients, the denser the lower their frequency."""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics.checks import Size, check_size
from gradprox.seeds import seeded_generator


def check_count(measurements: int, size: Size) -> None:
    """Refuse a number of measurements that is not between 1 and the number of pixels of an image of ``(H, W)``.

    Raises:
        InputError: it is not, or ``size`` is no size.
    """
    check_size(size)
    if not isinstance(measurements, Integral) or not 1 <= measurements <= math.prod(size):
        raise InputError(
            f"measurements must be a whole number between 1 and {math.prod(size)}, got {measurements!r}"
        )


def draw_low_first(distance: Tensor, measurements: int, seed: int, decay: float) -> Tensor:
    """Draw coefficients without replacement with weights ``distance^-decay``; distance 0 is always drawn.

    The ``m`` smallest of exponential variables with rates ``w`` are such a draw with weights ``w`` (Efraimidis and
    Spirakis, Inf. Process. Lett. 2006).

    Args:
        distance: distance of each coefficient from the lowest frequency, float64 ``(P, Q)``.
        measurements: ``m``, the number of coefficients to draw.
        seed: seed of the draw.
        decay: exponent of the density; ``math.inf`` takes the lowest frequencies without a draw.

    Returns:
        Indices of the flattened transform, ``(m,)``.
    """
    return draw_keys(distance, seed, decay).flatten().argsort(stable=True)[:measurements]


def draw_keys(distance: Tensor, seed: int, decay: float) -> Tensor:
    """Return the exponential variables of a draw; `draw_low_first` takes the smallest."""
    if math.isinf(decay):
        return distance
    uniform = torch.rand(distance.numel(), dtype=torch.float64, generator=seeded_generator(seed)).view_as(
        distance
    )
    return -torch.log1p(-uniform) * distance**decay
