"""Gates: nondecreasing functions of an energy with values in ``[0, 1]``, with their primitives and proven slopes."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import average, mix, with_mirrors
from gradprox.networks.ramps import ramp_primitive

# Of the excess of bounded gates: below, equilibria would take thousands of steps; above, they would do nothing.
LOG_EXCESS_RANGE = (math.log(1e-3), math.log(10))


class Term(ABC):
    """One term of a gate, a nondecreasing function of the energy ``t >= 0`` with values in ``[0, 1]``.

    What its value and its primitive have in common, the argument, is computed once.
    """

    @abstractmethod
    def argument(self, t: Tensor) -> Tensor:
        """Return the argument at energies of shape ``(B, channels, h, w)``."""

    @classmethod
    def arguments_at_average(cls, terms: Sequence[Term], energy: Tensor, windows: Tensor) -> list[Tensor]:
        """Return the arguments of terms of this class at averages of energies over windows, as `average` takes them."""
        averages = average(energy, windows)
        return [term.argument(averages) for term in terms]

    @abstractmethod
    def value(self, argument: Tensor) -> Tensor:
        """Return the term."""

    @abstractmethod
    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """Return the integral of the term over energies from 0, given its argument and value."""


class GateMixture(nn.Module, ABC):
    r"""Gates ``s(t) = sum_m w_m s_m(t)`` with ``sum_m w_m = 1``; term ``s_m`` opens around the energy ``c_m``.

    Centers, weights and whatever else a term has are per channel and follow the noise level.

    Args:
        knots: number of noise-level knots.
        pairs: number of mirror pairs of channels, of all planes; both channels of a pair share their gate.
        components: number ``M`` of terms.
        planes: color planes.
    """

    def __init__(self, knots: int, pairs: int, components: int, planes: int = 1) -> None:
        super().__init__()
        self.planes = planes
        # Pure noise has unit energy: the first gate opens around twice, the last around eight times that.
        centers = torch.linspace(1, 3, components) if components > 1 else torch.tensor([2.0])
        self.log_centers = nn.Parameter((centers * math.log(2))[:, None].repeat(knots, 1, pairs))
        self.weight_logits = nn.Parameter(torch.zeros(knots, components, pairs))

    def at(self, coordinates: Tensor) -> Gates:
        """Return the gates at knot coordinates ``(S, J)``."""
        return Gates(self._terms(coordinates), self._by_term(self._weights(coordinates)))

    @abstractmethod
    def slope_bound(self) -> float:
        """Return a bound, for every noise level, of ``s(t) + 2 t s'(t)``."""

    @abstractmethod
    def _terms(self, coordinates: Tensor) -> Sequence[Term]: ...

    def _weights(self, coordinates: Tensor) -> Tensor:
        return NoiseKnots.interpolate(self.weight_logits, coordinates).softmax(dim=1)

    def _exponentials(self, table: Tensor, coordinates: Tensor) -> list[Tensor]:
        """Interpolate logarithms; return one ``(S, channels, 1, 1)`` a term."""
        return self._by_term(NoiseKnots.interpolate(table, coordinates).exp())

    def _by_term(self, values: Tensor) -> list[Tensor]:
        return list(with_mirrors(values, values, self.planes, dim=2)[..., None, None].unbind(dim=1))


class Gates(NamedTuple):
    """A mixture at given noise levels."""

    terms: Sequence[Term]
    weights: list[Tensor]

    def value(self, t: Tensor) -> Tensor:
        """Return ``s(t)`` in ``[0, 1]`` for energies ``t >= 0`` of shape ``(B, channels, h, w)``."""
        return self._mixed([term.value(term.argument(t)) for term in self.terms])

    def primitive(self, t: Tensor) -> Tensor:
        """Return ``S(t)``, the integral of the gates from 0 to ``t``."""
        arguments = [term.argument(t) for term in self.terms]
        return self._mixed(
            [term.primitive(a, term.value(a)) for term, a in zip(self.terms, arguments, strict=True)]
        )

    def at_average(self, energy: Tensor, windows: Tensor) -> Tensor:
        """Return ``s(A e)``, where ``A`` averages energies over windows.

        With ramps, slopes go into the windows: average, line and clip are one pass of ONNX Runtime, a quarter faster.
        """
        arguments = self._arguments(energy, windows)
        return self._mixed(
            [term.value(argument) for term, argument in zip(self.terms, arguments, strict=True)]
        )

    def at_average_with_primitive(self, energy: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``s(A e)``, and ``S(A e)`` summed over the gates, ``(B, 1, h, w)``.

        The sums are those of places that a window's reach lies inside: where the transposed average of the first is
        known.
        """
        margin = windows.shape[-1] // 2
        arguments = self._arguments(energy, windows)
        values = [term.value(argument) for term, argument in zip(self.terms, arguments, strict=True)]
        sums = [
            # The matrix of one row that adds up channels, each with its weight.
            mix(term.primitive(crop(argument, margin), crop(value, margin)), w[..., 0].transpose(1, 2))
            for term, argument, value, w in zip(self.terms, arguments, values, self.weights, strict=True)
        ]
        return self._mixed(values), functools.reduce(torch.add, sums)

    def _arguments(self, energy: Tensor, windows: Tensor) -> list[Tensor]:
        return type(self.terms[0]).arguments_at_average(self.terms, energy, windows)

    def _mixed(self, parts: list[Tensor]) -> Tensor:
        mixed = parts[0] * self.weights[0]
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            mixed = torch.addcmul(mixed, part, weight)
        return mixed


class RampMixture(GateMixture):
    r"""Gates of terms ``clip(r_m(t), 0, 1)``, ``r_m(t) = 1/2 + a_m (t/c_m - 1)``.

    Each rises linearly around the energy ``c_m``, the more sharply the larger ``a_m``. Sharp gates that close
    completely separate noise from signal better than smooth ones, and cost no transcendental function.
    Arguments as for `GateMixture`.
    """

    def __init__(self, knots: int, pairs: int, components: int, planes: int = 1) -> None:
        super().__init__(knots, pairs, components, planes)
        self.log_sharpness = nn.Parameter(torch.zeros(knots, components, pairs))

    def _terms(self, coordinates: Tensor) -> Sequence[Term]:
        centers = self._exponentials(self.log_centers, coordinates)
        sharpness = self._exponentials(self.log_sharpness, coordinates)
        return [Ramp(a / c, 0.5 - a) for c, a in zip(centers, sharpness, strict=True)]

    def slope_bound(self) -> float:
        """See `GateMixture.slope_bound`.

        While a term rises, ``clip(r) + 2 t r'(t) = r + 2 (r - 1/2 + a) <= 2 + 2 a``. The weights sum to one, and
        between knots the logarithm of ``a`` is interpolated, so its largest value is at a knot.
        """
        return 2 + 2 * math.exp(float(self.log_sharpness.detach().max()))


@dataclass(frozen=True)
class Ramp(Term):
    """``clip(r, 0, 1)`` with the argument ``r = slope * t + start``; each ``(S, channels, 1, 1)``."""

    slope: Tensor
    start: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `Term.argument`."""
        return self.slope * t + self.start

    @classmethod
    def arguments_at_average(cls, terms: Sequence[Term], energy: Tensor, windows: Tensor) -> list[Tensor]:
        """See `Term.arguments_at_average`: average and line of each are one convolution."""
        lines = [term for term in terms if isinstance(term, Ramp)]
        return [average(energy, line.slope * windows, line.start) for line in lines]

    def value(self, argument: Tensor) -> Tensor:
        """See `Term.value`."""
        return argument.clamp(0, 1)

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """See `Term.primitive`."""
        at_zero = ramp_primitive(self.start, self.start.clamp(0, 1))
        return (ramp_primitive(argument, value) - at_zero) / self.slope


class NormMixture(GateMixture):
    r"""Gates of terms ``(1 - sqrt(c_m / t))_+``, which shorten the norm ``sqrt(t)`` of a group by ``sqrt(c_m)``.

    ``S(t) = (sqrt(t) - sqrt(c))_+^2``, so ``G`` sums halves of squared distances to balls: the network is
    nonexpansive. Arguments as for `GateMixture`.
    """

    def _terms(self, coordinates: Tensor) -> Sequence[Term]:
        return [NormShrinkage(c) for c in self._exponentials(self.log_centers, coordinates)]

    def slope_bound(self) -> float:
        """See `GateMixture.slope_bound`: ``s + 2 t s' = 1 - sqrt(c/t) + sqrt(c/t) = 1`` where a term is open."""
        return 1.0


@dataclass(frozen=True)
class NormShrinkage(Term):
    """``(1 - sqrt(c / t))_+`` with the argument ``sqrt(max(t, c))``; ``c`` is ``(S, channels, 1, 1)``."""

    center: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `Term.argument`."""
        return torch.maximum(t, self.center).sqrt()

    def value(self, argument: Tensor) -> Tensor:
        """See `Term.value`."""
        return 1 - self.center.sqrt() / argument

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:  # noqa: ARG002
        """See `Term.primitive`."""
        return (argument - self.center.sqrt()).square()


class BoundedMixture(GateMixture):
    r"""Gates of terms ``clip(l_m (1 - sqrt(c_m / t)), 0, 1)``, whose slopes ``l_m`` average to ``1 + excess``.

    On the norm ``r = sqrt(t)`` of a group a term acts as ``r s_m``: zero up to ``sqrt(c_m)``, then a line of slope
    ``l_m``, then ``r`` itself: firm shrinkage (Gao and Bruce, Statist. Sinica 7, 1997), the prox of a minimax-concave
    penalty, whose Moreau envelope has the derivative ``r (1 - s_m)``. The excess follows the noise level alone, and
    is kept within ``0.001`` to ``10``. Arguments as for `GateMixture`.
    """

    def __init__(self, knots: int, pairs: int, components: int, planes: int = 1) -> None:
        super().__init__(knots, pairs, components, planes)
        # Gates see energies of restored images, far below those of noise.
        roots = torch.linspace(0.12, 0.3, components) if components > 1 else torch.tensor([0.2])
        self.log_centers = nn.Parameter((2 * roots.log())[:, None].repeat(knots, 1, pairs))
        self.share_logits = nn.Parameter(torch.zeros(knots, components, pairs))
        self.log_excess = nn.Parameter(torch.full((knots,), math.log(0.1)))

    def excess(self, coordinates: Tensor) -> Tensor:
        """Return by how much ``s(t) + 2 t s'(t)`` may exceed 1 at knot coordinates ``(S, J)``, ``(S,)``."""
        return NoiseKnots.interpolate(self.log_excess, coordinates).clamp(*LOG_EXCESS_RANGE).exp()

    def _terms(self, coordinates: Tensor) -> Sequence[Term]:
        weights = self._weights(coordinates)
        # Relative to the largest, which leaves the ratios: no exponential overflows.
        logits = NoiseKnots.interpolate(self.share_logits, coordinates)
        shares = (logits - logits.amax(dim=1, keepdim=True)).exp()
        shares = shares / (weights * shares).sum(dim=1, keepdim=True).clamp_min(
            torch.finfo(shares.dtype).tiny
        )
        # Of a term without weight, whose share could be anything.
        shares = shares.clamp(max=1e6)
        excesses = self._by_term(self.excess(coordinates)[:, None, None] * shares)
        centers = self._exponentials(self.log_centers, coordinates)
        return [BoundedShrinkage(c, e) for c, e in zip(centers, excesses, strict=True)]

    def slope_bound(self) -> float:
        """See `GateMixture.slope_bound`.

        A term gives ``l_m`` while it rises and 1 above; the mean of ``l_m`` is one plus the excess, whose logarithm
        is interpolated: its largest value is at a knot.
        """
        return 1 + float(self.log_excess.detach().max().clamp(*LOG_EXCESS_RANGE).exp())


@dataclass(frozen=True)
class BoundedShrinkage(Term):
    """``clip(l (1 - sqrt(c / t)), 0, 1)``, ``l = 1 + excess``, with the argument ``1 / sqrt(t)``.

    Energies are kept above a quarter of ``c``, where the term is zero anyway: the argument stays finite.
    """

    center: Tensor
    excess: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `Term.argument`."""
        return torch.maximum(t, self.center / 4).rsqrt()

    @classmethod
    def arguments_at_average(cls, terms: Sequence[Term], energy: Tensor, windows: Tensor) -> list[Tensor]:
        """See `Term.arguments_at_average`: all terms share the argument of the lowest, as each is clipped at 0."""
        lowest = functools.reduce(
            torch.minimum, [term.center for term in terms if isinstance(term, BoundedShrinkage)]
        )
        return [torch.maximum(average(energy, windows), lowest / 4).rsqrt()] * len(terms)

    def value(self, argument: Tensor) -> Tensor:
        """See `Term.value`."""
        slope = 1 + self.excess
        return (slope - slope * self.center.sqrt() * argument).clamp(0, 1)

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """See `Term.primitive`: ``t s^2 / l = l (sqrt(t) - sqrt(c))^2`` while it rises, then ``t - c l / (l - 1)``."""
        slope = 1 + self.excess
        rising = (value / argument).square() / slope
        # Where the excess vanishes the term never stops rising.
        open_ = 1 / argument.square() - self.center * slope / self.excess.clamp_min(1e-20)
        return torch.where(value < 1, rising, open_)
