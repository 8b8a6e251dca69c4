r"""Activations of identity-path networks: gradients of convex functions ``G`` that keep or shrink coefficients.

``grad G(z) = z * g`` with gains ``g`` in ``[0, 1]`` that grow with the energy of a coefficient (ridge form) or of
its neighbors in space and channel (energy-gated form). With energies ``e = (z / u)^2`` in units ``u`` of the
noise, a nonnegative coupling ``K`` and a nondecreasing ``s >= 0`` with primitive ``S``,

    G(z) = u^2/2 * sum S(K e),        grad G(z) = z * K^T s(K e).

``S`` is convex and nondecreasing and ``K e`` is convex in ``z``, so ``G`` is convex. Its Hessian is
``diag(K^T s) + 2 diag(z/u) K^T diag(s') K diag(z/u)``, and by Cauchy-Schwarz at most
``sup_t (s + 2 t s') * max column sum of K``: with columns that sum to 1, at most 1 for gates
``s = (1 - sqrt(c/t))_+``, which shrink groups of coefficients by their norm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import average, mirrored_table, mix, with_mirrors
from gradprox.networks.denoisers.gates import GateMixture, RampMixture


class Shrinkage(nn.Module, ABC):
    """The gradient of a convex function ``G`` of filter coefficients, symmetric under flips of mirror pairs.

    Attributes:
        radius: how many coefficients beyond its own position an output depends on, a side.
        noise_gain: norm of a filter: noise ``sigma`` has standard deviation ``noise_gain * sigma`` in ``z``.
        bounded: passes gates or probabilities on unchanged, and marks them for `GradientNetwork.float32_boundary`:
            energies in units of the noise, from which they follow, reach 6e9, and float16 ends at 65504.
    """

    radius: int
    noise_gain: float

    def __init__(self) -> None:
        super().__init__()
        self.bounded = nn.Identity()

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
        planes: color planes.
        kind: of gates.
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
        kind: type[GateMixture] = RampMixture,
    ) -> None:
        super().__init__()
        self.noise_gain = noise_gain
        self.knots = knots
        self.gates = kind(len(knots), pairs, components, planes)

    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """See `Shrinkage.gradient`."""
        gains = self.gates.at(self.knots.coordinates(sigma)).value((z / self._unit(sigma)).square())
        return z * self.bounded(gains)

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
        planes: color planes; channels of all of them are mixed.
        gates: number of mirror pairs of gates, which all planes share; one for each pair of channels if None.
        kind: of gates.
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
        kind: type[GateMixture] = RampMixture,
    ) -> None:
        super().__init__()
        self.planes = planes
        self.gate_planes = planes if gates is None else 1
        self.radius = window - 1
        self.window = window
        self.noise_gain = noise_gain
        self.knots = knots
        count = gates or pairs
        self.gates = kind(len(knots), count, components, self.gate_planes)
        # At first a gate sees mostly its own channel or, where gates are few, its share of neighboring ones,
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
        return mirrored_table(same, mirrored, self.planes, self.gate_planes)

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
        return self._gated(z, self.gates.at(coordinates).at_average(energy, windows), windows, mixing)

    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `Shrinkage.gradient_and_density`."""
        coordinates = self.knots.coordinates(sigma)
        mixing, windows = self.mixing(coordinates), self.windows(coordinates)
        energy, gates = self._energy(z, sigma, mixing), self.gates.at(coordinates)
        values, primitive = gates.at_average_with_primitive(energy, windows)
        return self._gated(z, values, windows, mixing), self._unit(sigma) ** 2 / 2 * primitive

    def slope_bound(self) -> float:
        """See `Shrinkage.slope_bound`."""
        return self.gates.slope_bound()

    def _energy(self, z: Tensor, sigma: Tensor, mixing: Tensor) -> Tensor:
        """Return the energies of ``z``, mixed."""
        return mix((z / self._unit(sigma)).square(), mixing)

    def _gated(self, z: Tensor, values: Tensor, windows: Tensor, mixing: Tensor) -> Tensor:
        """Multiply ``z`` by the values of the gates, averaged and mixed by the transpose."""
        # Windows are even: averaging is its own adjoint.
        gains = average(self.bounded(values), windows)
        return crop(z, self.radius) * mix(gains, mixing.transpose(1, 2))
