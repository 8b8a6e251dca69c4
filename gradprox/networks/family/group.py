"""Activations of groups of coefficients, which make gradient networks universal approximators of gradients.

Elementwise activations give sums of ridge functions, which are not universal. The universality proofs need groups
(arXiv 2404.07361, section 4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradprox.networks.family.activation import Activation
from gradprox.networks.family.elementwise import SCALE_FLOOR, softplus


class GroupActivation(Activation):
    """An activation of ``groups`` independent groups of neighboring channels.

    Args:
        width: number of coefficient channels.
        groups: number of groups; each has ``width / groups`` channels.

    Raises:
        ValueError: the groups do not divide the channels, or a group has a single channel.
    """

    monotone = True

    def __init__(self, width: int, groups: int = 1) -> None:
        super().__init__(width)
        # In a group of one channel the Jacobian would be a difference of nearly equal numbers.
        if groups < 1 or width % groups or width == groups:
            raise ValueError(
                f"{width} channels cannot be divided into {groups} groups of one size with two or more channels each"
            )
        self.groups = groups

    def _grouped(self, z: Tensor) -> Tensor:
        """Return ``(B, G, width / G, *sites)``."""
        return z.reshape(z.shape[0], self.groups, -1, *z.shape[2:])


class Softmax(GroupActivation):
    """The softmax of each group, the gradient of its log-sum-exp ``log sum_i exp(z_i)``."""

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        above_one, rest = self._relative_to_top(self._grouped(x))
        return ((above_one + rest) / (1 + rest.sum(dim=2, keepdim=True))).flatten(1, 2)

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`."""
        return self._grouped(z).logsumexp(dim=2)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """Return 0 and 1/2: ``v^T (diag p - p p^T) v`` is the variance of numbers at most ``sqrt(2) |v|`` apart."""
        return torch.zeros(self.width), torch.full((self.width,), 0.5)

    def gradient_bound(self) -> float:
        """See `Activation.gradient_bound`: probabilities have norm at most 1."""
        return 1.0

    @staticmethod
    def _relative_to_top(z: Tensor) -> tuple[Tensor, Tensor]:
        """Return an indicator of the largest entry and ``exp(z_i - z_top)`` of the others, 0 at the top.

        The Jacobian ``diag p - p p^T`` of a saturated softmax is tiny. The usual formula loses it in the rounding of
        ``g - <g, p>``, and after multiplication by a large ``W`` it is neither symmetric nor positive. Here derivatives
        pass through the small entries only, and the derivative of the largest entry is minus the sum of theirs.
        """
        top = z.detach().argmax(dim=2, keepdim=True)
        indicator = torch.zeros_like(z).scatter(2, top, 1.0)
        others = (z - z.gather(2, top)).exp() * (1 - indicator)
        return indicator, others


class SmoothedNorm(GroupActivation):
    """``z / sqrt(1 + |z|^2)`` of each group, the gradient of its smoothed norm ``sqrt(1 + |z|^2)``."""

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        norms = self.site_potential(x)[:, :, None]
        return (self._grouped(x) / norms).flatten(1, 2)

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`."""
        return (1 + self._grouped(z).square().sum(dim=2)).sqrt()

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """Return 0 and 1: the slope is ``1 / sqrt(1 + |z|^2)`` across ``z`` and smaller along it."""
        return torch.zeros(self.width), torch.ones(self.width)

    def gradient_bound(self) -> float:
        """See `Activation.gradient_bound`."""
        return 1.0


class RationalGating(Activation):
    r"""``z * K^T s(K z^2)``, the gradient of ``G(z) = sum_k S(K z^2)_k / 2`` with ``S' = s``.

    Each coefficient is multiplied by a rational function of mixed energies. ``K >= 0`` mixes the channels of a site,
    with columns that sum to 1. The gate ``s(t) = t/(t + c)``, or with ``sharp`` ``s(t) = t^2/(t^2 + c^2)``, is
    nonnegative and nondecreasing. So ``S`` is convex and nondecreasing, ``K z^2`` is convex, and ``G`` is convex.

    Args:
        width: number of coefficient channels.
        sharp: whether gates open with the square of the energy.
    """

    monotone = True

    def __init__(self, width: int, *, sharp: bool = False) -> None:
        super().__init__(width)
        self.sharp = sharp
        self.mixing_logits = nn.Parameter(2 * torch.eye(width))
        self.raw_thresholds = nn.Parameter(torch.zeros(width))

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        mixing = self._mixing()
        ratio = self._ratio(x, mixing)
        opened = ratio.square() / (1 + ratio.square()) if self.sharp else ratio / (1 + ratio)
        return x * torch.einsum("kc,bk...->bc...", mixing, opened)

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`: one group."""
        ratio = self._ratio(z, self._mixing())
        area = ratio - (ratio.atan() if self.sharp else ratio.log1p())
        return torch.einsum("k,bk...->b...", self._thresholds() / 2, area)[:, None]

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """Return 0 and ``sup (s + 2 t s')``, reached at ``t = 3 c``, or ``t^2 = 5/3 c^2`` where sharp.

        By Cauchy-Schwarz the Hessian ``diag(K^T s) + 2 diag(z) K^T diag(s') K diag(z)`` is at most the diagonal
        matrix ``diag(K^T (s + 2 t s'))`` with ``t = K z^2``, and the columns of ``K`` sum to 1.
        """
        return torch.zeros(self.width), torch.full((self.width,), 25 / 16 if self.sharp else 9 / 8)

    def _mixing(self) -> Tensor:
        return self.mixing_logits.softmax(dim=0)

    def _thresholds(self) -> Tensor:
        return SCALE_FLOOR + softplus(self.raw_thresholds)

    def _ratio(self, z: Tensor, mixing: Tensor) -> Tensor:
        """Return ``K z^2 / c``."""
        return torch.einsum("kc,bc...->bk...", mixing / self._thresholds()[:, None], z.square())
