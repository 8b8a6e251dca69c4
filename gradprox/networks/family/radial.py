"""Activations that stretch a group of coefficients by a function of its norm: gradients of radial functions.

The norm of a group ``W x + b`` of few rows is a distance, from a point or between parts of the input. Ridge functions
need many rows to approximate a distance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradprox.networks.family.elementwise import SCALE_FLOOR, inverse_softplus, softplus
from gradprox.networks.family.group import GroupActivation

# (1 - 2u) exp(-u) has its minimum at u = 3/2, minus this, and its maximum 1 at u = 0.
DIP = 2 * math.exp(-3 / 2)


class RadialStretch(GroupActivation):
    r"""``z (q + sum_k a_k exp(-s_k |z|^2))`` for each group: a linear part and Gaussian wells.

    It is the gradient of ``q |z|^2 / 2 + sum_k a_k (1 - exp(-s_k |z|^2)) / (2 s_k)`` with ``s_k > 0``. The slope of a
    well is ``a exp(-s |z|^2)`` across ``z`` and ``a (1 - 2 s |z|^2) exp(-s |z|^2)`` along ``z``. Hence ``a_k >= 0`` and
    ``q >= 2 exp(-3/2) sum_k a_k`` make the activation monotone. A few wells approximate smooth functions of a distance,
    because powers of a distance are integrals of Gaussians.

    Args:
        width: number of coefficient channels.
        groups: number of groups; each has ``width / groups`` channels and its own parameters.
        wells: number of wells per group.
        monotone: whether the activation is the gradient of a convex function.

    Raises:
        ValueError: there is no well, or the groups do not divide the channels into groups of two or more.
    """

    def __init__(self, width: int, groups: int = 1, wells: int = 2, *, monotone: bool = True) -> None:
        super().__init__(width, groups)
        if wells < 1:
            raise ValueError(f"a radial stretch needs at least one well, got {wells}")
        self.monotone = monotone
        self.wells = wells
        weights = torch.full((wells, groups), 1 / wells)
        # Free signs alternate at the start, so that training need not find differences first.
        signs = 1.0 - 2 * (torch.arange(groups) % 2)
        self.raw_linear = nn.Parameter(torch.zeros(groups))
        self.raw_weights = nn.Parameter(inverse_softplus(weights) if monotone else weights * signs)
        scales = torch.logspace(-0.3, 0.3, wells) if wells > 1 else torch.ones(1)
        self.raw_scales = nn.Parameter(inverse_softplus(scales)[:, None].repeat(1, groups))

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        z = self._grouped(x)
        linear, weights, scales = self._table_for(x)
        wells = (weights * (-scales * z.square().sum(dim=2)[:, None]).exp()).sum(dim=1)
        return (z * (linear + wells)[:, :, None]).flatten(1, 2)

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`."""
        linear, weights, scales = self._table_for(z)
        energy = self._grouped(z).square().sum(dim=2)
        wells = (weights / scales * -torch.expm1(-scales * energy[:, None])).sum(dim=1)
        return (linear * energy + wells) / 2

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`: the sum of the ranges of all terms."""
        linear, weights, _ = self._table()
        up, down = weights.clamp_min(0).sum(dim=0), weights.clamp_max(0).sum(dim=0)
        lo, hi = linear + down - DIP * up, linear + up - DIP * down
        size = self.width // self.groups
        # The exact smallest slope of a monotone stretch is softplus(raw_linear) > 0; rounding may make lo negative.
        lo = lo.clamp_min(0) if self.monotone else lo
        return lo.repeat_interleave(size), hi.repeat_interleave(size)

    def _table(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``q``, ``(G,)``, and ``a`` and ``s``, ``(K, G)`` each."""
        scales = SCALE_FLOOR + softplus(self.raw_scales)
        if not self.monotone:
            return self.raw_linear, self.raw_weights, scales
        weights = softplus(self.raw_weights)
        return softplus(self.raw_linear) + DIP * weights.sum(dim=0), weights, scales

    def _table_for(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sites = [1] * (z.ndim - 2)
        linear, weights, scales = (part.view(*part.shape, *sites) for part in self._table())
        return linear, weights, scales
