"""Parameters that depend on the noise level: tables at fixed knots, interpolated linearly in log sigma."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from gradprox.batch import PRECISIONS

# The least noise level: smaller ones are raised to it, because energies are measured in units of sigma^2 and must stay
# finite. It is 0.03 of a gray level of 8 bits, which makes no visible difference to no noise.
SIGMA_FLOOR = 1e-4
# The knots of the shipped models, on the scale of images in [0, 1].
DEFAULT_LEVELS = (1 / 255, 3 / 255, 7.5 / 255, 20 / 255, 50 / 255)


def _increasing(levels: tuple[float, ...]) -> tuple[float, ...]:
    if not all(low < high < math.inf for low, high in pairwise((0.0, *levels))):
        raise ValueError(f"noise levels must be positive and increasing, got {levels}")
    return levels


# The knots in a configuration.
NoiseLevels = Annotated[tuple[float, ...], Field(min_length=2, max_length=64), AfterValidator(_increasing)]


def check_precision(x: Tensor) -> None:
    """Raise an error if images are of a type that is too coarse to compute in.

    Raises:
        ValueError: the type is neither float32 nor float64.
    """
    if x.dtype not in PRECISIONS:
        raise ValueError(
            f"expected images and weights of float32 or float64, got {x.dtype}: energies in units of the noise exceed "
            "half precision; call float() on both, and use torch.autocast to train in bfloat16"
        )


class NoiseKnots:
    """Interpolates tables of parameters over noise levels.

    Beyond the first and the last knot, their tables are used. Energies are measured in units of ``sigma^2``, so the
    network there scales with the noise: ``D(x, sigma) = c D(x / c, sigma / c)``.

    Args:
        levels: two or more increasing positive noise levels, on the scale of images in ``[0, 1]``.
    """

    def __init__(self, levels: tuple[float, ...]) -> None:
        self.log_levels = tuple(math.log(level) for level in levels)

    def __len__(self) -> int:
        return len(self.log_levels)

    def coordinates(self, sigma: Tensor) -> Tensor:
        """Return the weights ``(S, J)`` of the ``J`` knots at noise levels ``(S,)``: nonnegative, with sum 1."""
        knots = torch.tensor(self.log_levels, dtype=sigma.dtype, device=sigma.device)
        position = sigma.clamp_min(SIGMA_FLOOR).log()[:, None]
        # The fraction of each interval between knots that lies below sigma. The weight of a knot is the fraction of the
        # interval on its left minus that on its right. This needs no search, which could not be exported.
        crossed = ((position - knots[:-1]) / (knots[1:] - knots[:-1])).clamp(0, 1)
        left = torch.cat([torch.ones_like(position), crossed], dim=1)
        return left - torch.cat([crossed, torch.zeros_like(position)], dim=1)

    @staticmethod
    def interpolate(table: Tensor, coordinates: Tensor) -> Tensor:
        """Combine a table ``(J, ...)`` with coordinates ``(S, J)`` into ``(S, ...)``."""
        return torch.tensordot(coordinates, table, dims=1)
