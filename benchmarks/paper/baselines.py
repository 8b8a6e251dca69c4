"""Baselines for gradient networks, each written from its paper."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def softplus_layer(_: int) -> nn.Module:
    """Return the default activation of the baselines."""
    return nn.Softplus()


class SquaredReLU(nn.Module):
    """``max(0, t)^2``, whose gradient is piecewise linear: convex and nondecreasing."""

    def forward(self, t: Tensor) -> Tensor:
        """Apply the activation to each entry."""
        return t.relu().square()


class MLP(nn.Sequential):
    """A plain network from ``R^dim`` to ``R^out`` with two hidden layers; it is not a gradient.

    ``activation`` is called with the width.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        out: int | None = None,
        activation: Callable[[int], nn.Module] = softplus_layer,
    ) -> None:
        super().__init__(
            nn.Linear(dim, width),
            activation(width),
            nn.Linear(width, width),
            activation(width),
            nn.Linear(width, dim if out is None else out),
        )


class GradientOf(nn.Module):
    """The gradient of a scalar network, computed by automatic differentiation."""

    def __init__(self, potential: nn.Module) -> None:
        super().__init__()
        self.potential = potential

    def forward(self, x: Tensor) -> Tensor:
        """Return ``grad potential(x)``, ``(B, dim)``."""
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.potential(x).sum(), x, create_graph=True)
        return gradient


class ScalarNetwork(nn.Module):
    """A network from ``R^dim`` to ``R``."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return values ``(B, 1)``."""


class ICNN(ScalarNetwork):
    """An input-convex network (Amos, Xu and Kolter, ICML 2017) with two hidden layers, plus a convex quadratic.

    Softplus keeps weights on hidden units nonnegative. ``activation`` must be convex and nondecreasing.
    """

    def __init__(self, dim: int, width: int, activation: Callable[[int], nn.Module] = softplus_layer) -> None:
        super().__init__()
        self.activation = activation(width)
        self.first = nn.Linear(dim, width)
        self.second = nn.Linear(dim, width)
        self.last = nn.Linear(dim, 1)
        # The weights after softplus are about 1/width, so that the sum over a layer is of order one.
        start = math.log(math.expm1(1 / width))
        self.hidden = nn.Parameter(start + 0.1 * torch.randn(width, width))
        self.out = nn.Parameter(start + 0.1 * torch.randn(1, width))
        self.curvature = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """See `ScalarNetwork.forward`."""
        z = self.activation(self.first(x))
        z = self.activation(F.linear(z, F.softplus(self.hidden)) + self.second(x))
        square = x.square().sum(dim=1, keepdim=True)
        return F.linear(z, F.softplus(self.out)) + self.last(x) + F.softplus(self.curvature) / 2 * square


class ICGN(nn.Module):
    r"""An input-convex gradient network (Richter-Powell, Lorraine and Amos, 2021), one hidden layer.

    ``int_0^1 J(s x)^T J(s x) x ds + b`` with the Jacobian ``J`` of ``x -> sigma(W x + c)``, by Gauss-Legendre
    quadrature. With one hidden layer, the field with these Gram matrices is a gradient, as the paper requires.
    """

    nodes: Tensor
    weights: Tensor

    def __init__(self, dim: int, width: int, quadrature: int = 8) -> None:
        super().__init__()
        self.layer = nn.Linear(dim, width)
        self.bias = nn.Parameter(torch.zeros(dim))
        nodes, weights = np.polynomial.legendre.leggauss(quadrature)
        self.register_buffer("nodes", torch.tensor((nodes + 1) / 2, dtype=torch.float32))
        self.register_buffer("weights", torch.tensor(weights / 2, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, dim)``."""
        u = F.linear(x, self.layer.weight)
        z = self.nodes[:, None, None] * u + self.layer.bias
        slopes = torch.einsum("s,sbh->bh", self.weights, torch.sigmoid(z).square())
        return (slopes * u) @ self.layer.weight + self.bias


def gradient_of_icnn(
    dim: int, width: int, activation: Callable[[int], nn.Module] = softplus_layer
) -> GradientOf:
    """Build the gradient of an input-convex network."""
    return GradientOf(ICNN(dim, width, activation))


def gradient_of_mlp(
    dim: int, width: int, activation: Callable[[int], nn.Module] = softplus_layer
) -> GradientOf:
    """Build the gradient of a scalar network; for Hamiltonians see Greydanus, Dzamba and Yosinski, NeurIPS 2019."""
    return GradientOf(MLP(dim, width, out=1, activation=activation))
