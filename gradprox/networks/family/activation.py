"""The contract of activations: gradients of potentials of coefficients, with proven slopes.

How to read it: `Activation` is a gradient network of coefficients, so its subclasses give ``gradient_at`` and
`Activation.site_potential`. `Activation.slope_range` is what Lipschitz bounds are made of.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.networks.family.blind import BlindGradientNetwork


class Activation(BlindGradientNetwork):
    """The gradient ``sigma = grad phi`` of a potential of coefficients ``z`` of shape ``(B, width, *sites)``.

    Channels of one site (pixel) may interact; different sites do not. An activation is itself a gradient network.

    Args:
        width: number of coefficient channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"an activation needs at least one channel, got {width}")
        self.width = width

    @abstractmethod
    def site_potential(self, z: Tensor) -> Tensor:
        """Return terms that sum to ``phi(z)``: ``(B, G, *sites)``, one for each of ``G`` groups of channels.

        Group ``g`` consists of ``width / G`` neighboring channels, of which the first is ``g * width / G``.
        """

    @abstractmethod
    def slope_range(self) -> tuple[Tensor, Tensor]:
        """Return ``lo`` and ``hi``, ``(width,)`` each, with ``diag(lo) <= Hess phi <= diag(hi)`` for all ``z``.

        Entries may be infinite. Both are differentiable with respect to the parameters.
        """

    def gradient_bound(self) -> float:
        """Return a bound of the gradient norm of one group's potential at one site; infinite if there is none."""
        return float("inf")

    def potential_at(self, x: Tensor) -> Tensor:
        """Return ``phi``, ``(B,)``."""
        return image_sum(self.site_potential(x))

    def lipschitz_bound(self) -> float:
        """Return the largest absolute slope."""
        lo, hi = self.slope_range()
        return float(torch.maximum(lo.abs(), hi.abs()).detach().max())


# Makes an activation from a number of channels: a class, or a `functools.partial` of one with its options.
ActivationFactory = Callable[[int], Activation]
