"""Sums of gradient networks: a sum of gradients is a gradient, and a conic sum of monotone networks is monotone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradprox.networks.family.blind import BlindGradientNetwork
from gradprox.networks.family.elementwise import inverse_softplus, softplus


class WeightedSum(BlindGradientNetwork):
    """``sum_i c_i D_i(x)`` with learnable weights, all 1 at the start.

    Args:
        networks: ``D_i``, all for inputs of the same shape.

    Raises:
        ValueError: there is no network, or they take images of different numbers of channels.
    """

    def __init__(self, networks: Sequence[BlindGradientNetwork]) -> None:
        super().__init__()
        channels = {network.channels for network in networks if network.channels is not None}
        if not networks or len(channels) > 1:
            raise ValueError(
                f"a sum needs networks for images with one number of channels, got {len(networks)} networks "
                f"for {sorted(channels)} channels"
            )
        self.networks = nn.ModuleList(networks)
        self.channels = channels.pop() if channels else None

    @abstractmethod
    def weights(self) -> Tensor:
        """Return ``c``, ``(number of networks,)``."""

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        terms = zip(self.weights(), self.networks, strict=True)
        return torch.stack([weight * network(x) for weight, network in terms]).sum(dim=0)

    def potential_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.potential_at`."""
        terms = zip(self.weights(), self._members(), strict=True)
        return torch.stack([weight * network.potential(x) for weight, network in terms]).sum(dim=0)

    def lipschitz_bound(self) -> float:
        """Return ``sum_i |c_i| L_i``."""
        weights: list[float] = self.weights().detach().abs().tolist()
        bounds = [network.lipschitz_bound() for network in self._members()]
        # Zero times an infinite bound is zero: the network does not contribute.
        return sum(weight * bound for weight, bound in zip(weights, bounds, strict=True) if weight)

    def _members(self) -> list[BlindGradientNetwork]:
        return [network for network in self.networks if isinstance(network, BlindGradientNetwork)]


class Sum(WeightedSum):
    """A linear combination of gradient networks, with weights of any sign."""

    monotone = False

    def __init__(self, networks: Sequence[BlindGradientNetwork]) -> None:
        super().__init__(networks)
        self.raw_weights = nn.Parameter(torch.ones(len(networks)))

    def weights(self) -> Tensor:
        """See `WeightedSum.weights`."""
        return self.raw_weights


class ConicSum(WeightedSum):
    """A conic combination of monotone networks, with nonnegative weights.

    Raises:
        ValueError: a network is not monotone.
    """

    monotone = True

    def __init__(self, networks: Sequence[BlindGradientNetwork]) -> None:
        super().__init__(networks)
        for network in networks:
            if not network.monotone:
                raise ValueError(f"a conic sum needs monotone networks; {type(network).__name__} is not")
        self.raw_weights = nn.Parameter(inverse_softplus(torch.ones(len(networks))))

    def weights(self) -> Tensor:
        """See `WeightedSum.weights`."""
        return softplus(self.raw_weights)
