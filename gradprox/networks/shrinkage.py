r"""Activations of identity-path networks: gradients of convex functions ``G`` that keep or shrink coefficients.

``grad G(z) = z * g`` with gains ``g`` in ``[0, 1]`` that grow with the energy of a coefficient (ridge form) or of
its neighbours in space and channel (energy-gated form). With energies ``e = (z / u)^2`` in units ``u`` of the
noise, a nonnegative coupling ``K`` and a nondecreasing ``s >= 0`` with primitive ``S``,

    G(z) = u^2/2 * sum S(K e),        grad G(z) = z * K^T s(K e).

``S`` is convex and nondecreasing and ``K e`` is convex in ``z``, so ``G`` is convex. Its Hessian is
``diag(K^T s) + 2 diag(z/u) K^T diag(s') K diag(z/u)``, and by Cauchy-Schwarz at most
``sup_t (s + 2 t s') * max column sum of K``: with columns that sum to 1, at most 1 for gates
``s = (1 - sqrt(c/t))_+``, which shrink groups of coefficients by their norm.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.borders import crop
from gradprox.networks.conditioning import NoiseKnots


def with_mirrors(stored: Tensor, mirrored: Tensor, planes: int, dim: int) -> Tensor:
    """Put what belongs to stored filters and to their mirror images side by side, plane by plane, along ``dim``."""
    parts = [part.unflatten(dim, (planes, -1)) for part in (stored, mirrored)]
    return torch.cat(parts, dim=dim + 1).flatten(dim, dim + 1)


class Term(ABC):
    """One term of a gate, a nondecreasing function of the energy ``t >= 0`` with values in ``[0, 1]``.

    What its value and its primitive have in common, the argument, is computed once.
    """

    @abstractmethod
    def argument(self, t: Tensor) -> Tensor:
        """Return the argument at energies of shape ``(B, channels, h, w)``."""

    def argument_at_average(self, energy: Tensor, windows: Tensor) -> Tensor:
        """Return the argument at the averages of energies over windows; both as `average` takes them."""
        return self.argument(average(energy, windows))

    @abstractmethod
    def value(self, argument: Tensor) -> Tensor:
        """Return the term."""

    @abstractmethod
    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """Return the integral of the term over energies from 0, given its argument and value."""


class GateMixture(nn.Module, ABC):
    r"""Gates ``s(t) = sum_m w_m s_m(t)`` with ``sum_m w_m = 1``; term ``s_m`` opens around the energy ``c_m``.

    Centres, weights and whatever else a term has are per channel and follow the noise level.

    Args:
        knots: number of noise-level knots.
        pairs: number of mirror pairs of channels, of all planes; both channels of a pair share their gate.
        components: number ``M`` of terms.
        planes: colour planes.
    """

    def __init__(self, knots: int, pairs: int, components: int, planes: int = 1) -> None:
        super().__init__()
        self.planes = planes
        # Pure noise has unit energy: the first gate opens around twice, the last around eight times that.
        centres = torch.linspace(1, 3, components) if components > 1 else torch.tensor([2.0])
        self.log_centres = nn.Parameter((centres * math.log(2))[:, None].repeat(knots, 1, pairs))
        self.weight_logits = nn.Parameter(torch.zeros(knots, components, pairs))

    def at(self, coordinates: Tensor) -> Gates:
        """Return the gates at knot coordinates ``(S, J)``."""
        weights = NoiseKnots.interpolate(self.weight_logits, coordinates).softmax(dim=1)
        return Gates(self._terms(coordinates), self._by_term(weights))

    @abstractmethod
    def slope_bound(self) -> float:
        """Return a bound, for every noise level, of ``s(t) + 2 t s'(t)``."""

    @abstractmethod
    def _terms(self, coordinates: Tensor) -> Sequence[Term]: ...

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

    def averaged(self, energy: Tensor, windows: Tensor) -> Tensor:
        """Return ``A^T s(A e)``, where ``A`` averages over windows; they are even, so that ``A^T`` does it too.

        With ramps, slopes go into the windows: average, line and clip are one pass of ONNX Runtime, a quarter faster.
        """
        values = [term.value(term.argument_at_average(energy, windows)) for term in self.terms]
        return average(self._mixed(values), windows)

    def averaged_with_primitive(self, energy: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `averaged` does, and ``S(A e)`` at the same places, summed over the gates: ``(B, 1, h, w)``."""
        margin = windows.shape[-1] // 2
        arguments = [term.argument_at_average(energy, windows) for term in self.terms]
        values = [term.value(argument) for term, argument in zip(self.terms, arguments, strict=True)]
        sums = [
            # The matrix of one row that adds up channels, each with its weight.
            mix(term.primitive(crop(argument, margin), crop(value, margin)), w[..., 0].transpose(1, 2))
            for term, argument, value, w in zip(self.terms, arguments, values, self.weights, strict=True)
        ]
        return average(self._mixed(values), windows), functools.reduce(torch.add, sums)

    def _mixed(self, parts: list[Tensor]) -> Tensor:
        return functools.reduce(torch.add, [w * part for part, w in zip(parts, self.weights, strict=True)])


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
        centres = self._exponentials(self.log_centres, coordinates)
        sharpness = self._exponentials(self.log_sharpness, coordinates)
        return [Ramp(a / c, 0.5 - a) for c, a in zip(centres, sharpness, strict=True)]

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

    def argument_at_average(self, energy: Tensor, windows: Tensor) -> Tensor:
        """See `Term.argument_at_average`: average and line are one convolution."""
        return average(energy, self.slope * windows, self.start)

    def value(self, argument: Tensor) -> Tensor:
        """See `Term.value`."""
        return argument.clamp(0, 1)

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """See `Term.primitive`."""
        at_zero = ramp_primitive(self.start, self.start.clamp(0, 1))
        return (ramp_primitive(argument, value) - at_zero) / self.slope


def ramp_primitive(r: Tensor, clipped: Tensor) -> Tensor:
    """Return ``p (r - p/2)`` with ``p = clip(r, 0, 1)``, the primitive of ``p`` that is 0 for negative ``r``."""
    return torch.sub(r, clipped, alpha=0.5) * clipped


class NormMixture(GateMixture):
    r"""Gates of terms ``(1 - sqrt(c_m / t))_+``, which shorten the norm ``sqrt(t)`` of a group by ``sqrt(c_m)``.

    ``S(t) = (sqrt(t) - sqrt(c))_+^2``, so ``G`` sums halves of squared distances to balls: the network is
    nonexpansive. Arguments as for `GateMixture`.
    """

    def _terms(self, coordinates: Tensor) -> Sequence[Term]:
        return [NormShrinkage(c) for c in self._exponentials(self.log_centres, coordinates)]

    def slope_bound(self) -> float:
        """See `GateMixture.slope_bound`: ``s + 2 t s' = 1 - sqrt(c/t) + sqrt(c/t) = 1`` where a term is open."""
        return 1.0


@dataclass(frozen=True)
class NormShrinkage(Term):
    """``(1 - sqrt(c / t))_+`` with the argument ``sqrt(max(t, c))``; ``c`` is ``(S, channels, 1, 1)``."""

    centre: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `Term.argument`."""
        return torch.maximum(t, self.centre).sqrt()

    def value(self, argument: Tensor) -> Tensor:
        """See `Term.value`."""
        return 1 - self.centre.sqrt() / argument

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:  # noqa: ARG002
        """See `Term.primitive`."""
        return (argument - self.centre.sqrt()).square()


def gate_mixture(nonexpansive: bool, knots: int, pairs: int, components: int, planes: int = 1) -> GateMixture:
    """Return fresh gates; see `GateMixture`."""
    kind = NormMixture if nonexpansive else RampMixture
    return kind(knots, pairs, components, planes)


class Shrinkage(nn.Module, ABC):
    """The gradient of a convex function ``G`` of filter coefficients, symmetric under flips of mirror pairs.

    Attributes:
        radius: how many coefficients beyond its own position an output depends on, a side.
        noise_gain: norm of a filter: noise ``sigma`` has standard deviation ``noise_gain * sigma`` in ``z``.
    """

    radius: int
    noise_gain: float

    @abstractmethod
    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return ``grad G(z)`` where it is known: ``(B, C, h, w)`` to ``(B, C, h - 2 radius, w - 2 radius)``."""

    @abstractmethod
    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``grad G(z)`` and, at the same places, ``(B, 1, h', w')``, the terms whose sum is ``G(z)``."""

    @abstractmethod
    def slope_bound(self) -> float:
        """Return a proven upper bound of the eigenvalues of the Hessian of ``G``."""

    def _unit(self, sigma: Tensor) -> Tensor:
        """Return the standard deviation of noise in ``z``."""
        return (self.noise_gain * sigma)[:, None, None, None]


class RidgeShrinkage(Shrinkage):
    """The ridge form: every coefficient is shrunk by its own energy, ``K = I``.

    Args:
        pairs: number of mirror pairs of channels, of all planes.
        noise_gain: norm of a filter: noise ``sigma`` has standard deviation ``noise_gain * sigma`` in ``z``.
        knots: noise levels at which parameters are stored.
        components: terms of each gate.
        planes: colour planes.
        nonexpansive: whether the gates are those of `NormMixture`.
    """

    radius = 0

    def __init__(
        self,
        pairs: int,
        noise_gain: float,
        knots: NoiseKnots,
        components: int,
        planes: int = 1,
        *,
        nonexpansive: bool = False,
    ) -> None:
        super().__init__()
        self.noise_gain = noise_gain
        self.knots = knots
        self.gates = gate_mixture(nonexpansive, len(knots), pairs, components, planes)

    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """See `Shrinkage.gradient`."""
        return z * self.gates.at(self.knots.coordinates(sigma)).value((z / self._unit(sigma)).square())

    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `Shrinkage.gradient_and_density`."""
        unit = self._unit(sigma)
        energy = (z / unit).square()
        gates = self.gates.at(self.knots.coordinates(sigma))
        return z * gates.value(energy), unit**2 / 2 * gates.primitive(energy).sum(dim=1, keepdim=True)

    def slope_bound(self) -> float:
        """See `Shrinkage.slope_bound`."""
        return self.gates.slope_bound()


class EnergyGate(Shrinkage):
    """The energy-gated form: ``K`` mixes channels, then averages each over a small window.

    The columns of ``K`` sum to 1, so gains stay in ``[0, 1]`` and strong coefficients pass unchanged.

    Args:
        pairs: number of mirror pairs of channels, of all planes.
        noise_gain: norm of a filter: noise ``sigma`` has standard deviation ``noise_gain * sigma`` in ``z``.
        knots: noise levels at which parameters are stored.
        components: terms of each gate.
        window: side of the averaging windows, odd.
        planes: colour planes; channels of all of them are mixed.
        gates: number of mirror pairs of gates, which all planes share; one for each pair of channels if None.
        nonexpansive: whether the gates are those of `NormMixture`.
    """

    def __init__(
        self,
        pairs: int,
        noise_gain: float,
        knots: NoiseKnots,
        components: int,
        window: int,
        planes: int = 1,
        *,
        gates: int | None = None,
        nonexpansive: bool = False,
    ) -> None:
        super().__init__()
        self.planes = planes
        self.gate_planes = planes if gates is None else 1
        self.radius = window - 1
        self.window = window
        self.noise_gain = noise_gain
        self.knots = knots
        count = gates or pairs
        self.gates = gate_mixture(nonexpansive, len(knots), count, components, self.gate_planes)
        # At first a gate sees mostly its own channel or, where gates are few, its share of neighbouring ones,
        # through a Gaussian window of standard deviation 1.
        own = torch.arange(pairs) * count // pairs
        mixing = torch.full((len(knots), 2, count, pairs), -4.0)
        mixing[:, 0, own, torch.arange(pairs)] += 6.5
        self.mixing_logits = nn.Parameter(mixing)
        offsets = torch.arange(window) - window // 2
        gaussian = -(offsets[:, None] ** 2 + offsets**2) / 2
        self.window_logits = nn.Parameter(gaussian.repeat(len(knots), count, 1, 1))

    def mixing(self, coordinates: Tensor) -> Tensor:
        """Return the mixing of channels into gates, ``(S, gates, C)``.

        It is nonnegative, its columns sum to 1, and it is alike for mirror images.
        """
        logits = NoiseKnots.interpolate(self.mixing_logits, coordinates)
        same, mirrored = logits.flatten(1, 2).softmax(dim=1).chunk(2, dim=1)
        to_stored = with_mirrors(same, mirrored, self.planes, dim=2)
        to_mirrored = with_mirrors(mirrored, same, self.planes, dim=2)
        return with_mirrors(to_stored, to_mirrored, self.gate_planes, dim=1)

    def windows(self, coordinates: Tensor) -> Tensor:
        """Return the windows of the gates, ``(S, gates, k, k)``.

        They are nonnegative, each sums to 1 and is even, unchanged by a turn of 180 degrees, and those of mirror images
        are mirrored.
        """
        logits = NoiseKnots.interpolate(self.window_logits, coordinates)
        even = (logits + logits.flip(-1, -2)) / 2
        windows = even.flatten(2).softmax(dim=2).view_as(even)
        return with_mirrors(windows, windows.flip(-1), self.gate_planes, dim=1)

    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """See `Shrinkage.gradient`."""
        coordinates = self.knots.coordinates(sigma)
        mixing, windows = self.mixing(coordinates), self.windows(coordinates)
        energy = self._energy(z, sigma, mixing)
        return self._gated(z, self.gates.at(coordinates).averaged(energy, windows), mixing)

    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `Shrinkage.gradient_and_density`."""
        coordinates = self.knots.coordinates(sigma)
        mixing, windows = self.mixing(coordinates), self.windows(coordinates)
        energy, gates = self._energy(z, sigma, mixing), self.gates.at(coordinates)
        gains, primitive = gates.averaged_with_primitive(energy, windows)
        return self._gated(z, gains, mixing), self._unit(sigma) ** 2 / 2 * primitive

    def slope_bound(self) -> float:
        """See `Shrinkage.slope_bound`."""
        return self.gates.slope_bound()

    def _energy(self, z: Tensor, sigma: Tensor, mixing: Tensor) -> Tensor:
        """Return the energies of ``z``, mixed."""
        return mix((z / self._unit(sigma)).square(), mixing)

    def _gated(self, z: Tensor, gains: Tensor, mixing: Tensor) -> Tensor:
        """Multiply ``z`` by gains of the gates, mixed by the transpose."""
        return crop(z, self.radius) * mix(gains, mixing.transpose(1, 2))


def mix(x: Tensor, matrices: Tensor) -> Tensor:
    """Multiply the channels of ``(B, C, h, w)`` by matrices, one ``(1, N, C)`` or one each."""
    if len(matrices) == 1:
        # ONNX Runtime keeps its blocked layout through convolutions, not through products of matrices: 7 % faster.
        return F.conv2d(x, matrices[0, :, :, None, None])
    return torch.matmul(matrices, x.flatten(2)).view(x.shape[0], -1, *x.shape[2:])


def average(x: Tensor, windows: Tensor, start: Tensor | None = None) -> Tensor:
    """Correlate each channel of ``(B, C, h, w)`` with its window, and add ``start``.

    Args:
        x: the channels.
        windows: ``(1, C, k, k)``, or one set an image.
        start: ``(1, C, 1, 1)``, or one an image; zero if not given.

    Returns:
        ``(B, C, h - k + 1, w - k + 1)``.
    """
    batch, channels, height, width = x.shape
    sets, k = windows.shape[0], windows.shape[-1]
    kernels, offsets = windows.reshape(-1, 1, k, k), None if start is None else start.flatten()
    if sets == 1:
        return F.conv2d(x, kernels, offsets, groups=channels)
    stacked = x.reshape(1, batch * channels, height, width)
    stacked = F.conv2d(stacked, kernels, offsets, groups=sets * channels)
    return stacked.view(batch, channels, height - k + 1, width - k + 1)
