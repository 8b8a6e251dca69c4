"""Activations that stretch a group of coefficients by its norm: gradients of radial functions.

The norm of a group ``W x + b`` of few rows is a distance, from a point or between parts of the input. Ridge functions
need many rows to make one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradprox.networks.family.elementwise import SCALE_FLOOR, inverse_softplus, softplus
from gradprox.networks.family.group import GroupActivation

# (1 - 2u) exp(-u) lies between minus this, at u = 3/2, and 1.
DIP = 2 * math.exp(-3 / 2)


class RadialMixture(GroupActivation):
    r"""``z (q + sum_k a_k exp(-s_k |z|^2))`` of each group: a linear part and ``components`` Gaussian wells.

    It is the gradient of ``q |z|^2 / 2 + sum_k a_k (1 - exp(-s_k |z|^2)) / (2 s_k)``, with ``s_k > 0``. A term's slope
    is ``a exp(-s |z|^2)`` across ``z`` and ``a (1 - 2 s |z|^2) exp(-s |z|^2)`` along it, so that ``a_k >= 0`` and
    ``q >= 2 exp(-3/2) sum_k a_k`` make it monotone. A few terms make smooth functions of a distance: powers of it are
    integrals of Gaussians.

    Args:
        width: number of coefficient channels.
        groups: number of groups; each has ``width / groups`` channels, and numbers of its own.
        components: number of wells.
        monotone: whether it is the gradient of a convex function.

    Raises:
        ValueError: there is no well, or the groups are not legal ones.
    """

    def __init__(self, width: int, groups: int = 1, components: int = 2, *, monotone: bool = True) -> None:
        super().__init__(width, groups)
        if components < 1:
            raise ValueError(f"a mixture needs at least one component, got {components}")
        self.monotone = monotone
        self.components = components
        weights = torch.full((components, groups), 1 / components)
        # Where signs are free both are there from the start, or differences would have to be found first.
        signs = 1.0 - 2 * (torch.arange(groups) % 2)
        self.raw_linear = nn.Parameter(torch.zeros(groups))
        self.raw_weights = nn.Parameter(inverse_softplus(weights) if monotone else weights * signs)
        scales = torch.logspace(-0.3, 0.3, components) if components > 1 else torch.ones(1)
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
        """See `Activation.slope_range`: the sum of the terms' ranges."""
        linear, weights, _ = self._table()
        up, down = weights.clamp_min(0).sum(dim=0), weights.clamp_max(0).sum(dim=0)
        lo, hi = linear + down - DIP * up, linear + up - DIP * down
        size = self.width // self.groups
        # Of a monotone mixture the smallest slope is softplus(raw_linear), which rounding may take below 0.
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
