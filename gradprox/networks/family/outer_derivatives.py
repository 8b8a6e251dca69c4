"""Derivatives ``rho = P'`` of what a module makes of its potential: ``P(phi(z))`` (arXiv 2404.07361, section 5).

The gradient of ``P(phi(z))`` is ``rho(phi) grad phi``, its Hessian ``rho(phi) Hess phi + rho'(phi) grad phi grad
phi^T``: with a convex ``phi`` it is positive semidefinite where ``rho`` is nonnegative and nondecreasing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gradprox.networks.family.elementwise import SCALE_FLOOR, inverse_softplus, log_cosh, softplus

Interval = tuple[float, float]


class Rho(nn.Module, ABC):
    """A scalar function ``rho`` with a primitive ``P``.

    Attributes:
        monotone: whether it is nonnegative and nondecreasing, whatever its parameters.
    """

    monotone: bool

    @abstractmethod
    def value(self, t: Tensor) -> Tensor:
        """Return ``rho(t)``."""

    @abstractmethod
    def primitive(self, t: Tensor) -> Tensor:
        """Return ``P(t)``."""

    @abstractmethod
    def range(self) -> Interval:
        """Return bounds of ``rho``, possibly infinite."""

    @abstractmethod
    def slope_range(self) -> Interval:
        """Return bounds of ``rho'``."""


class One(Rho):
    """``rho = 1``: the plain module."""

    monotone = True

    def value(self, t: Tensor) -> Tensor:
        """See `Rho.value`."""
        return torch.ones_like(t)

    def primitive(self, t: Tensor) -> Tensor:
        """See `Rho.primitive`."""
        return t

    def range(self) -> Interval:
        """See `Rho.range`."""
        return 1.0, 1.0

    def slope_range(self) -> Interval:
        """See `Rho.slope_range`."""
        return 0.0, 0.0


class SigmoidRho(Rho):
    """``rho(t) = sigmoid(a t + c)``, ``a > 0``, learnable: bounded, so that Lipschitz bounds stay finite."""

    monotone = True

    def __init__(self) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(inverse_softplus(torch.ones(())))
        self.shift = nn.Parameter(torch.zeros(()))

    def value(self, t: Tensor) -> Tensor:
        """See `Rho.value`."""
        return (self._scale() * t + self.shift).sigmoid()

    def primitive(self, t: Tensor) -> Tensor:
        """See `Rho.primitive`."""
        return softplus(self._scale() * t + self.shift) / self._scale()

    def range(self) -> Interval:
        """See `Rho.range`."""
        return 0.0, 1.0

    def slope_range(self) -> Interval:
        """See `Rho.slope_range`."""
        return 0.0, float(self._scale().detach()) / 4

    def _scale(self) -> Tensor:
        return SCALE_FLOOR + softplus(self.raw_scale)


class Squareplus(Rho):
    """``rho(t) = (t + sqrt(t^2 + 4)) / 2``: a smooth ramp with an elementary primitive, and no upper bound."""

    monotone = True

    def value(self, t: Tensor) -> Tensor:
        """See `Rho.value`."""
        root = (t.square() + 4).sqrt()
        # The second form keeps its digits where the first is a difference of nearly equal numbers.
        return torch.where(t > 0, (t + root) / 2, 2 / (root - t.clamp_max(0)))

    def primitive(self, t: Tensor) -> Tensor:
        """See `Rho.primitive`."""
        return t * self.value(t) / 2 + torch.asinh(t / 2)

    def range(self) -> Interval:
        """See `Rho.range`."""
        return 0.0, float("inf")

    def slope_range(self) -> Interval:
        """See `Rho.slope_range`."""
        return 0.0, 1.0


class TanhRho(Rho):
    """``rho(t) = tanh(t)``, which changes sign: for networks that need not be monotone."""

    monotone = False

    def value(self, t: Tensor) -> Tensor:
        """See `Rho.value`."""
        return t.tanh()

    def primitive(self, t: Tensor) -> Tensor:
        """See `Rho.primitive`."""
        return log_cosh(t)

    def range(self) -> Interval:
        """See `Rho.range`."""
        return -1.0, 1.0

    def slope_range(self) -> Interval:
        """See `Rho.slope_range`."""
        return 0.0, 1.0
