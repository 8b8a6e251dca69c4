"""Elementwise activations: scalar functions of single coefficients, each with its primitive.

How to read it: `Elementwise` is the contract; the classes after it are the choices. The functions at the end
(`softplus`, `log_cosh`, `softplus_primitive`) keep full accuracy at large arguments.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.family.activation import Activation
from gradprox.networks.ramps import ramp_primitive

# A lower bound of scales and divisors, for all values of the parameters.
SCALE_FLOOR = 1e-3


class Elementwise(Activation):
    """A scalar function per channel.

    The function and its primitive depend only on the coefficient and on a table of legal parameters. Cascades and
    quadratures can therefore evaluate them at other points.
    """

    def table(self) -> Tensor:
        """Return the parameters in their legal range, ``(P, width)``; ``P = 0`` by default."""
        return torch.empty(0, self.width)

    @abstractmethod
    def function(self, t: Tensor, table: Tensor) -> Tensor:
        """Return ``sigma(t)``; each ``table[p]`` broadcasts against ``t``."""

    @abstractmethod
    def primitive(self, t: Tensor, table: Tensor) -> Tensor:
        """Return a primitive of ``sigma`` at ``t``, determined up to a constant."""

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        return self.function(x, self._table_for(x))

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`: one group."""
        return self.primitive(z, self._table_for(z)).sum(dim=1, keepdim=True)

    def _table_for(self, z: Tensor) -> Tensor:
        table = self.table()
        return table.view(len(table), 1, self.width, *[1] * (z.ndim - 2))

    def _constant_slopes(self, lo: float, hi: float) -> tuple[Tensor, Tensor]:
        return torch.full((self.width,), lo), torch.full((self.width,), hi)


# Makes an elementwise activation from a number of channels.
ElementwiseFactory = Callable[[int], Elementwise]


class Identity(Elementwise):
    """``sigma(t) = t``, the gradient of ``t^2/2``: the linear part ``W^T W x`` of a network."""

    monotone = True

    def function(self, t: Tensor, table: Tensor) -> Tensor:  # noqa: ARG002
        """See `Elementwise.function`."""
        return t

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:  # noqa: ARG002
        """See `Elementwise.primitive`."""
        return t.square() / 2

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`."""
        return self._constant_slopes(1, 1)


class Sigmoid(Elementwise):
    """``sigma(t) = 1 / (1 + exp(-t))``, the gradient of softplus."""

    monotone = True

    def function(self, t: Tensor, table: Tensor) -> Tensor:  # noqa: ARG002
        """See `Elementwise.function`."""
        return t.sigmoid()

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:  # noqa: ARG002
        """See `Elementwise.primitive`."""
        return softplus(t)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`."""
        return self._constant_slopes(0, 1 / 4)

    def gradient_bound(self) -> float:
        """See `Activation.gradient_bound`."""
        return math.sqrt(self.width)


class Softplus(Elementwise):
    """``sigma(t) = log(1 + exp(t))``, whose potential is a dilogarithm."""

    monotone = True

    def function(self, t: Tensor, table: Tensor) -> Tensor:  # noqa: ARG002
        """See `Elementwise.function`."""
        return softplus(t)

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:  # noqa: ARG002
        """See `Elementwise.primitive`."""
        return softplus_primitive(t)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`."""
        return self._constant_slopes(0, 1)


class TanhSum(Elementwise):
    """``sigma(t) = sum_k a_k tanh(s_k t + c_k)`` with ``s_k > 0``, and ``a_k >= 0`` if monotone.

    Args:
        width: number of coefficient channels.
        terms: number of terms.
        monotone: whether the function is nondecreasing.
    """

    def __init__(self, width: int, terms: int = 2, *, monotone: bool = True) -> None:
        super().__init__(width)
        if terms < 1:
            raise ValueError(f"a sum needs at least one term, got {terms}")
        self.monotone = monotone
        self.terms = terms
        scales = torch.logspace(-0.3, 0.3, terms) if terms > 1 else torch.ones(1)
        weights = torch.full((terms, width), 1 / terms)
        self.raw_weights = nn.Parameter(inverse_softplus(weights) if monotone else weights)
        self.raw_scales = nn.Parameter(inverse_softplus(scales)[:, None].repeat(1, width))
        self.shifts = nn.Parameter(0.5 * torch.randn(terms, width))

    def table(self) -> Tensor:
        """Return ``a``, ``s`` and ``c``, stacked."""
        weights = softplus(self.raw_weights) if self.monotone else self.raw_weights
        return torch.cat([weights, SCALE_FLOOR + softplus(self.raw_scales), self.shifts])

    def function(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.function`."""
        total = torch.zeros_like(t)
        for a, s, c in zip(*table.chunk(3), strict=True):
            total = total + a * (s * t + c).tanh()
        return total

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.primitive`."""
        total = torch.zeros_like(t)
        for a, s, c in zip(*table.chunk(3), strict=True):
            total = total + a / s * log_cosh(s * t + c)
        return total

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`."""
        a, s, _ = self.table().chunk(3)
        slopes = a * s
        return slopes.clamp_max(0).sum(dim=0), slopes.clamp_min(0).sum(dim=0)

    def gradient_bound(self) -> float:
        """See `Activation.gradient_bound`."""
        a, _, _ = self.table().chunk(3)
        return float(torch.linalg.vector_norm(a.detach().abs().sum(dim=0)))


class Cubic(Elementwise):
    """``sigma(t) = a t + c t^3`` with ``a, c >= 0`` if monotone: every nondecreasing cubic, up to a shift.

    The slope is unbounded, so a network of cubics has no Lipschitz bound.

    Args:
        width: number of coefficient channels.
        monotone: whether the function is nondecreasing.
    """

    def __init__(self, width: int, *, monotone: bool = True) -> None:
        super().__init__(width)
        self.monotone = monotone
        gains = torch.full((2, width), 0.5)
        self.raw_gains = nn.Parameter(inverse_softplus(gains) if monotone else gains)

    def table(self) -> Tensor:
        """Return ``a`` and ``c``, stacked."""
        return softplus(self.raw_gains) if self.monotone else self.raw_gains

    def function(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.function`."""
        a, c = table
        return t * (a + c * t.square())

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.primitive`."""
        a, c = table
        square = t.square()
        return square * (a / 2 + c / 4 * square)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`: ``a + 3 c t^2``."""
        a, c = self.table()
        infinity = torch.full_like(a, math.inf)
        return torch.where(c < 0, -infinity, a), torch.where(c > 0, infinity, a)


class LinearSpline(Elementwise):
    """A learnable piecewise linear function, constant outside ``[-reach, reach]``.

    ``sigma(t) = sum_k w_k (clip((t - t_k)/h, 0, 1) - 1/2)`` over cells ``[t_k, t_k + h]``, with ``w_k >= 0`` if
    monotone. A sum of clipped ramps needs no table lookup.

    Args:
        width: number of coefficient channels.
        cells: number of linear pieces.
        reach: the pieces cover ``[-reach, reach]``.
        monotone: whether the function is nondecreasing.
    """

    def __init__(self, width: int, cells: int = 8, reach: float = 3.0, *, monotone: bool = True) -> None:
        super().__init__(width)
        if cells < 1 or not 0 < reach < math.inf:
            raise ValueError(f"a spline needs a cell and a positive reach, got {cells} and {reach}")
        self.monotone = monotone
        self.cells, self.reach = cells, reach
        self.cell_width = 2 * reach / cells
        rises = torch.full((cells, width), 1 / cells) * (1 + 0.2 * torch.randn(cells, width)).clamp_min(0.1)
        self.raw_rises = nn.Parameter(inverse_softplus(rises) if monotone else rises)

    def table(self) -> Tensor:
        """Return the rises ``w``."""
        return softplus(self.raw_rises) if self.monotone else self.raw_rises

    def function(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.function`."""
        total = torch.zeros_like(t)
        for k, rise in enumerate(table):
            # At a knot hardtanh has slope 0; clamp would add the slopes of both neighboring cells.
            total = total + rise * (F.hardtanh(self._position(t, k), 0.0, 1.0) - 0.5)
        return total

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.primitive`."""
        total = torch.zeros_like(t)
        for k, rise in enumerate(table):
            position = self._position(t, k)
            ramp = ramp_primitive(position, position.clamp(0, 1))
            total = total + rise * (self.cell_width * ramp - t / 2)
        return total

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`; the slope outside the cells, 0, belongs to the range."""
        slopes = self.table() / self.cell_width
        return slopes.amin(dim=0).clamp_max(0), slopes.amax(dim=0).clamp_min(0)

    def gradient_bound(self) -> float:
        """See `Activation.gradient_bound`."""
        return float(torch.linalg.vector_norm(self.table().detach().abs().sum(dim=0))) / 2

    def _position(self, t: Tensor, cell: int) -> Tensor:
        return (t + self.reach) / self.cell_width - cell


def softplus(t: Tensor) -> Tensor:
    """Return ``log(1 + exp(t))`` with full accuracy; ``torch.nn.functional.softplus`` has an error of 2e-9."""
    return -F.logsigmoid(-t)


def inverse_softplus(t: Tensor) -> Tensor:
    """Return the inverse of `softplus` at ``t > 0``."""
    return t + torch.log(-torch.expm1(-t))


def log_cosh(t: Tensor) -> Tensor:
    """Return ``log cosh t``, the primitive of ``tanh``, without overflow."""
    return t.abs() + softplus(-2 * t.abs()) - math.log(2)


def softplus_primitive(t: Tensor) -> Tensor:
    r"""Return ``-Li_2(-exp(t))``, the primitive of softplus that is 0 at minus infinity.

    For ``t <= 0`` and ``w = softplus(t)``, Landen's identity and the Bernoulli series of the dilogarithm give
    ``w + w^2/4 + sum_n B_2n w^(2n+1) / (2n+1)!``, which converges like ``(w / 2 pi)^(2n)`` with ``w <= log 2``. For
    ``t > 0`` the inversion formula gives ``pi^2/6 + t^2/2`` minus the value at ``-t`` (DLMF 25.12.4).
    """
    w = softplus(-t.abs())
    w2 = w.square()
    series = torch.zeros_like(w)
    for coefficient in reversed(_BERNOULLI):
        series = coefficient + w2 * series
    negative = w + w2 / 4 + w * w2 * series
    return torch.where(t > 0, math.pi**2 / 6 + t.square() / 2 - negative, negative)


# B_2n / (2n+1)! for n = 1, 2, ...; at w = log 2 the last term is 1e-18 of the first.
_BERNOULLI = tuple(
    numerator / denominator / math.factorial(2 * n + 1)
    for n, (numerator, denominator) in enumerate(
        [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798)],
        start=1,
    )
)
