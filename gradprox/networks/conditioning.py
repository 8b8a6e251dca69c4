"""Parameters that follow the noise level: piecewise linear in log sigma, between fixed knots."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Below this a noise level is indistinguishable from none in 8-bit pictures (0.03 of a gray level); it keeps
# energies, which are measured in units of sigma^2, finite.
SIGMA_FLOOR = 1e-4


class NoiseKnots:
    """Interpolates tables of raw parameters over noise levels.

    Outside the knots the nearest table is used. As energies are measured in units of ``sigma^2``, the network
    there scales with the noise: ``D(x, sigma) = c D(x / c, sigma / c)``.

    Args:
        levels: two or more increasing positive noise levels, on the scale of images in ``[0, 1]``.
    """

    def __init__(self, levels: tuple[float, ...]) -> None:
        self.log_levels = tuple(math.log(level) for level in levels)

    def __len__(self) -> int:
        return len(self.log_levels)

    def coordinates(self, sigma: Tensor) -> Tensor:
        """Return the weights ``(S, J)`` of the ``J`` knots at noise levels ``(S,)``: nonnegative, summing to 1."""
        knots = torch.tensor(self.log_levels, dtype=sigma.dtype, device=sigma.device)
        position = sigma.clamp_min(SIGMA_FLOOR).log().clamp(knots[0], knots[-1])[:, None]
        upper = torch.searchsorted(knots, position).clamp(1, len(self) - 1)
        fraction = (position - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
        weights = torch.zeros(sigma.shape[0], len(self), dtype=sigma.dtype, device=sigma.device)
        return weights.scatter(1, upper - 1, 1 - fraction).scatter(1, upper, fraction)

    @staticmethod
    def interpolate(table: Tensor, coordinates: Tensor) -> Tensor:
        """Combine a table ``(J, ...)`` with coordinates ``(S, J)`` into ``(S, ...)``."""
        return torch.tensordot(coordinates, table, dims=1)
