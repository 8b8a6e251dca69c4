"""Outer derivatives ``rho`` of the modules of GradNet-M (arXiv 2404.07361, section 5).

A module is the gradient of ``P(phi(z))``, where ``phi`` is the potential of its activation and ``P`` an outer scalar
function. By the chain rule the gradient is ``rho(phi) grad phi`` with the outer derivative ``rho = P'``. The Hessian is
``rho(phi) Hess phi + rho'(phi) grad phi grad phi^T``. With a convex ``phi`` it is positive semidefinite if ``rho`` is
nonnegative and nondecreasing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gradprox.networks.family.elementwise import SCALE_FLOOR, inverse_softplus, log_cosh, softplus

Interval = tuple[float, float]


class OuterDerivative(nn.Module, ABC):
    """A scalar function ``rho`` with its primitive ``P``.

    Attributes:
        monotone: whether ``rho`` is nonnegative and nondecreasing for all values of its parameters.
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


class ConstantOuterDerivative(OuterDerivative):
    """``rho = 1``, which makes a module the plain ridge layer ``W^T sigma(W x + b)``."""

    monotone = True

    def value(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.value`."""
        return torch.ones_like(t)

    def primitive(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.primitive`."""
        return t

    def range(self) -> Interval:
        """See `OuterDerivative.range`."""
        return 1.0, 1.0

    def slope_range(self) -> Interval:
        """See `OuterDerivative.slope_range`."""
        return 0.0, 0.0


class SigmoidOuterDerivative(OuterDerivative):
    """``rho(t) = sigmoid(a t + c)`` with learnable ``a > 0`` and ``c``.

    It is bounded, so that Lipschitz bounds stay finite.
    """

    monotone = True

    def __init__(self) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(inverse_softplus(torch.ones(())))
        self.shift = nn.Parameter(torch.zeros(()))

    def value(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.value`."""
        return (self._scale() * t + self.shift).sigmoid()

    def primitive(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.primitive`."""
        return softplus(self._scale() * t + self.shift) / self._scale()

    def range(self) -> Interval:
        """See `OuterDerivative.range`."""
        return 0.0, 1.0

    def slope_range(self) -> Interval:
        """See `OuterDerivative.slope_range`."""
        return 0.0, float(self._scale().detach()) / 4

    def _scale(self) -> Tensor:
        return SCALE_FLOOR + softplus(self.raw_scale)


class SquareplusOuterDerivative(OuterDerivative):
    """``rho(t) = (t + sqrt(t^2 + 4)) / 2``, a smooth ramp without an upper bound and with an elementary primitive."""

    monotone = True

    def value(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.value`."""
        root = (t.square() + 4).sqrt()
        # For negative t the first form subtracts nearly equal numbers; the second keeps its digits.
        return torch.where(t > 0, (t + root) / 2, 2 / (root - t.clamp_max(0)))

    def primitive(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.primitive`."""
        return t * self.value(t) / 2 + torch.asinh(t / 2)

    def range(self) -> Interval:
        """See `OuterDerivative.range`."""
        return 0.0, float("inf")

    def slope_range(self) -> Interval:
        """See `OuterDerivative.slope_range`."""
        return 0.0, 1.0


class TanhOuterDerivative(OuterDerivative):
    """``rho(t) = tanh(t)``, which changes sign: for networks that need not be monotone."""

    monotone = False

    def value(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.value`."""
        return t.tanh()

    def primitive(self, t: Tensor) -> Tensor:
        """See `OuterDerivative.primitive`."""
        return log_cosh(t)

    def range(self) -> Interval:
        """See `OuterDerivative.range`."""
        return -1.0, 1.0

    def slope_range(self) -> Interval:
        """See `OuterDerivative.slope_range`."""
        return 0.0, 1.0
