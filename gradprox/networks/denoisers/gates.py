r"""Gates: nondecreasing functions ``s(t)`` of an energy, with values in ``[0, 1]``.

Their primitives are known in closed form, and their slopes have proven bounds.

A gate is a weighted sum of terms, ``s(t) = sum_m w_m s_m(t)`` with ``w_m >= 0`` and ``sum_m w_m = 1``. The term ``s_m``
opens around the energy ``c_m``. Three kinds of term give three kinds of gate:

========  =============================  ==================================================================
kind      term                           property of a network with these gates
========  =============================  ==================================================================
``ramp``  ``clip(1/2 + a (t/c - 1))``    monotone; the best denoiser of the three
``norm``  ``(1 - sqrt(c/t))_+``          nonexpansive as well: the prox of a *convex* function
``firm``  ``clip(l (1 - sqrt(c/t)))``    monotone, with a slope of at most ``1 + excess``: for `Equilibrium`
========  =============================  ==================================================================
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import mix, with_mirrors
from gradprox.networks.denoisers.gate_terms import FirmTerm, GateTerm, NormTerm, RampTerm

GateKind = Literal["ramp", "norm", "firm"]

# Range of the log excess of firm gates. With a smaller excess, an equilibrium would need thousands of iterations; with
# a larger one, its regularizer would have almost no effect.
LOG_EXCESS_RANGE = (math.log(1e-3), math.log(10))


class Gates(nn.Module, ABC):
    r"""Gates of all channels, conditional on the noise level.

    Centers, weights and the other parameters of a term are stored per channel and per knot of the noise level.

    Args:
        knots: number of noise-level knots.
        pairs: number of mirrored pairs of channels, over all planes; both channels of a pair share their gate.
        terms: number of terms of each gate.
        planes: number of color planes.
    """

    def __init__(self, knots: int, pairs: int, terms: int, planes: int = 1) -> None:
        super().__init__()
        self.planes = planes
        # Pure noise has unit energy. The first term opens around the energy 2, the last around 8.
        centers = torch.linspace(1, 3, terms) if terms > 1 else torch.tensor([2.0])
        self.log_centers = nn.Parameter((centers * math.log(2))[:, None].repeat(knots, 1, pairs))
        self.weight_logits = nn.Parameter(torch.zeros(knots, terms, pairs))

    def at(self, coordinates: Tensor) -> GateSum:
        """Return the gates at noise levels with knot coordinates ``(S, J)``."""
        return GateSum(self._terms(coordinates), self._by_term(self._weights(coordinates)))

    @abstractmethod
    def slope_bound(self) -> float:
        """Return a bound of ``s(t) + 2 t s'(t)`` that holds for every noise level."""

    def take_over(self, trained: Gates, copies: int = 1, kept: Tensor | None = None) -> None:
        """Copy the parameters of trained gates; do nothing if their kind or number of terms differs.

        Args:
            trained: the gates to start from.
            copies: number of copies of each trained gate, one for each color plane.
            kept: indices of the repeated gates to copy, ``(pairs,)``; None copies all.

        Raises:
            ValueError: the number of knots, or of gates, differs.
        """
        if type(trained) is not type(self) or trained.log_centers.shape[1] != self.log_centers.shape[1]:
            return
        state = trained.state_dict()
        for name, own in self.state_dict().items():
            if own.ndim > 1:  # tables of one axis hold for all gates
                state[name] = state[name].repeat(1, 1, copies)
                state[name] = state[name] if kept is None else state[name][..., kept]
            if state[name].shape != own.shape:
                raise ValueError(f"{name} has the shape {tuple(state[name].shape)}, not {tuple(own.shape)}")
        self.load_state_dict(state)

    @abstractmethod
    def _terms(self, coordinates: Tensor) -> Sequence[GateTerm]: ...

    def _weights(self, coordinates: Tensor) -> Tensor:
        return NoiseKnots.interpolate(self.weight_logits, coordinates).softmax(dim=1)

    def _exponentials(self, table: Tensor, coordinates: Tensor) -> list[Tensor]:
        """Interpolate a table of logarithms; return one ``(S, channels, 1, 1)`` per term."""
        return self._by_term(NoiseKnots.interpolate(table, coordinates).exp())

    def _by_term(self, values: Tensor) -> list[Tensor]:
        return list(with_mirrors(values, values, self.planes, dim=2)[..., None, None].unbind(dim=1))


class GateSum(NamedTuple):
    """Gates at given noise levels: weighted sums of terms.

    Attributes:
        terms: the terms, all of one class.
        weights: the weight of each term, ``(S, channels, 1, 1)``; the weights of a channel sum to 1.
    """

    terms: Sequence[GateTerm]
    weights: list[Tensor]

    def value(self, t: Tensor) -> Tensor:
        """Return ``s(t)``, in ``[0, 1]``, at energies ``t >= 0`` of shape ``(B, channels, h, w)``."""
        return self._weighted([term.value(term.argument(t)) for term in self.terms])

    def primitive(self, t: Tensor) -> Tensor:
        """Return ``S(t)``, the integral of the gates from 0 to ``t``."""
        arguments = [term.argument(t) for term in self.terms]
        return self._weighted(
            [term.primitive(a, term.value(a)) for term, a in zip(self.terms, arguments, strict=True)]
        )

    def at_average(self, energy: Tensor, windows: Tensor) -> Tensor:
        """Return ``s(A e)``, where ``A`` averages energies over windows."""
        arguments = self._arguments(energy, windows)
        return self._weighted(
            [term.value(argument) for term, argument in zip(self.terms, arguments, strict=True)]
        )

    def at_average_with_primitive(self, energy: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``s(A e)``, and ``S(A e)`` summed over the gates, ``(B, 1, h, w)``.

        The sums cover the positions at which the transposed average of ``s(A e)`` is known, because the windows around
        them lie inside the region where ``A e`` is known.
        """
        margin = windows.shape[-1] // 2
        arguments = self._arguments(energy, windows)
        values = [term.value(argument) for term, argument in zip(self.terms, arguments, strict=True)]
        sums = [
            # Mixing with a matrix of one row computes the weighted sum over channels.
            mix(term.primitive(crop(argument, margin), crop(value, margin)), w[..., 0].transpose(1, 2))
            for term, argument, value, w in zip(self.terms, arguments, values, self.weights, strict=True)
        ]
        return self._weighted(values), functools.reduce(torch.add, sums)

    def _arguments(self, energy: Tensor, windows: Tensor) -> list[Tensor]:
        return type(self.terms[0]).arguments_at_average(self.terms, energy, windows)

    def _weighted(self, parts: list[Tensor]) -> Tensor:
        total = parts[0] * self.weights[0]
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            total = torch.addcmul(total, part, weight)
        return total


class RampGates(Gates):
    r"""Gates of terms ``clip(r_m(t), 0, 1)``, ``r_m(t) = 1/2 + a_m (t/c_m - 1)``.

    A term rises linearly around the energy ``c_m``; a larger ``a_m`` makes it sharper. Sharp gates that close
    completely separate noise from signal better than smooth ones, and need no transcendental function.
    The arguments are those of `Gates`.
    """

    def __init__(self, knots: int, pairs: int, terms: int, planes: int = 1) -> None:
        super().__init__(knots, pairs, terms, planes)
        self.log_sharpness = nn.Parameter(torch.zeros(knots, terms, pairs))

    def _terms(self, coordinates: Tensor) -> Sequence[GateTerm]:
        centers = self._exponentials(self.log_centers, coordinates)
        sharpness = self._exponentials(self.log_sharpness, coordinates)
        return [RampTerm(a / c, 0.5 - a) for c, a in zip(centers, sharpness, strict=True)]

    def slope_bound(self) -> float:
        """See `Gates.slope_bound`.

        While a term rises, ``clip(r) + 2 t r'(t) = r + 2 (r - 1/2 + a) <= 2 + 2 a``. The weights sum to one. Between
        knots the logarithm of ``a`` is interpolated, so the largest ``a`` is at a knot.
        """
        return 2 + 2 * math.exp(float(self.log_sharpness.detach().max()))


class NormGates(Gates):
    r"""Gates of terms ``(1 - sqrt(c_m / t))_+``, which shorten the norm ``sqrt(t)`` of a group by ``sqrt(c_m)``.

    ``S(t) = (sqrt(t) - sqrt(c))_+^2``, so ``G`` is a sum of half squared distances to balls. Hence the network is
    nonexpansive. The arguments are those of `Gates`.
    """

    def _terms(self, coordinates: Tensor) -> Sequence[GateTerm]:
        return [NormTerm(c) for c in self._exponentials(self.log_centers, coordinates)]

    def slope_bound(self) -> float:
        """See `Gates.slope_bound`: where a term is open, ``s + 2 t s' = 1 - sqrt(c/t) + sqrt(c/t) = 1``."""
        return 1.0


class FirmGates(Gates):
    r"""Gates of terms ``clip(l_m (1 - sqrt(c_m / t)), 0, 1)``, whose slopes ``l_m`` average to ``1 + excess``.

    A term multiplies a group of norm ``r = sqrt(t)`` by ``s_m``. The product ``r s_m`` is zero up to ``sqrt(c_m)``,
    then a line of slope ``l_m``, then ``r`` itself. This is firm shrinkage (Gao and Bruce, Statist. Sinica 7, 1997),
    the prox of a minimax-concave penalty, whose Moreau envelope has the derivative ``r (1 - s_m)``. The excess depends
    on the noise level only, and stays within ``0.001`` to ``10``. The arguments are those of `Gates`.
    """

    def __init__(self, knots: int, pairs: int, terms: int, planes: int = 1) -> None:
        super().__init__(knots, pairs, terms, planes)
        # The inputs are energies of restored images, which are far below those of noise.
        roots = torch.linspace(0.12, 0.3, terms) if terms > 1 else torch.tensor([0.2])
        self.log_centers = nn.Parameter((2 * roots.log())[:, None].repeat(knots, 1, pairs))
        self.share_logits = nn.Parameter(torch.zeros(knots, terms, pairs))
        self.log_excess = nn.Parameter(torch.full((knots,), math.log(0.1)))

    def excess(self, coordinates: Tensor) -> Tensor:
        """Return how far ``s(t) + 2 t s'(t)`` may exceed 1, ``(S,)``, at knot coordinates ``(S, J)``."""
        return NoiseKnots.interpolate(self.log_excess, coordinates).clamp(*LOG_EXCESS_RANGE).exp()

    def _terms(self, coordinates: Tensor) -> Sequence[GateTerm]:
        weights = self._weights(coordinates)
        # Subtracting the largest logit leaves the ratios unchanged, and no exponential overflows.
        logits = NoiseKnots.interpolate(self.share_logits, coordinates)
        shares = (logits - logits.amax(dim=1, keepdim=True)).exp()
        shares = shares / (weights * shares).sum(dim=1, keepdim=True).clamp_min(
            torch.finfo(shares.dtype).tiny
        )
        # The share of a term of weight zero is unbounded, so it is clamped.
        shares = shares.clamp(max=1e6)
        excesses = self._by_term(self.excess(coordinates)[:, None, None] * shares)
        centers = self._exponentials(self.log_centers, coordinates)
        return [FirmTerm(c, e) for c, e in zip(centers, excesses, strict=True)]

    def slope_bound(self) -> float:
        """See `Gates.slope_bound`.

        A term has the slope ``l_m`` while it rises and 1 above. The weighted mean of the ``l_m`` is one plus the
        excess. The logarithm of the excess is interpolated between knots, so the largest excess is at a knot.
        """
        return 1 + float(self.log_excess.detach().max().clamp(*LOG_EXCESS_RANGE).exp())


GATES: dict[GateKind, type[Gates]] = {"ramp": RampGates, "norm": NormGates, "firm": FirmGates}
