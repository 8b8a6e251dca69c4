"""Gradient networks without noise conditioning: one potential for all noise levels."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from gradprox.networks.base import GradientNetwork


class BlindGradientNetwork(GradientNetwork):
    """A gradient network that ignores the noise level ``sigma``, which may be left out.

    Subclasses give `gradient_at` and `potential_at`.
    """

    channels: int | None = None

    def forward(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:  # noqa: ARG002  kept for the contract
        """Return ``grad Phi(x)``, of the shape of ``x``, ``(B, ...)``."""
        return self.gradient_at(x)

    def potential(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:  # noqa: ARG002  kept for the contract
        """Return ``Phi(x)``, ``(B,)``."""
        return self.potential_at(x)

    @abstractmethod
    def gradient_at(self, x: Tensor) -> Tensor:
        """Return ``grad Phi(x)``."""

    @abstractmethod
    def potential_at(self, x: Tensor) -> Tensor:
        """Return ``Phi(x)``, ``(B,)``."""
