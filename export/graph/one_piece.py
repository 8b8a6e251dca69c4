"""A one-pass network as graphs have it: whole images, its filters folded to constants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradprox.networks import IdentityPath
from gradprox.networks.borders import extend
from gradprox.networks.denoisers.shrinkage import Shrinkage


class OnePiece(nn.Module):
    """What an `IdentityPath` computes, in one piece instead of tiles.

    Args:
        network: the network, of any floating-point type.
    """

    filters: Tensor

    def __init__(self, network: IdentityPath) -> None:
        super().__init__()
        self.network = network
        self.channels = network.channels
        with torch.no_grad():
            self.register_buffer("filters", network.bank.filters())

    @property
    def shrinkage(self) -> Shrinkage:
        """The network's."""
        return self.network.shrinkage

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """See `GradientNetwork.forward`."""
        return self.network.inside(extend(x, self.network.radius), sigma, self.filters)

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `GradientNetwork.envelope_and_gradient`."""
        return self.network.inside_with_envelope(extend(x, self.network.radius), sigma, self.filters)
