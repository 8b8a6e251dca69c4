"""The energy gate: a coefficient passes if the energy of its neighbors in space and channel is large.

The coupling ``K`` of `shrinkage` first mixes the energies of all channels, with one sum for each gate. Then it
averages each sum over a small window. Its columns sum to 1, so gains stay in ``[0, 1]`` and strong coefficients
pass unchanged.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import average, mirrored_table, mix, with_mirrors
from gradprox.networks.denoisers.gates import GATES, GateKind
from gradprox.networks.denoisers.shrinkage import Shrinkage, ShrinkageConfig, Window

# Share of the other color planes in the mixing, when a color network starts from a gray one.
OTHER_PLANES = 0.1


class EnergyGatedConfig(ShrinkageConfig):
    """The settings of an `EnergyGate`.

    Attributes:
        kind: the shrinkage's name in files.
        window: side of the averaging windows, odd.
        terms: number of terms of each gate.
        gates: number of mirrored pairs of gates, which all planes share; fewer gates than filters make the network
            faster. None: one pair of gates for each pair of filters and each plane.
        gate_kind: the kind of gates, see `gates`. ``"norm"`` makes the network nonexpansive, hence the prox of a
            *convex* function; ``"ramp"`` denoises better.
    """

    kind: Literal["energy-gated"] = "energy-gated"
    window: Window = 5
    terms: int = Field(default=2, ge=1, le=16)
    gates: int | None = Field(default=None, ge=1, le=1024)
    gate_kind: GateKind = "ramp"

    def build(self, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1) -> EnergyGate:
        """See `ShrinkageConfig.build`."""
        return EnergyGate(self, pairs, noise_gain, knots, planes)


class EnergyGate(Shrinkage):
    """Coefficients times gates of energies that are mixed over channels and averaged over windows.

    Args:
        config: its settings.
        pairs: see `ShrinkageConfig.build`, as for the other arguments.
        noise_gain: norm of a filter.
        knots: noise levels at which parameters are stored.
        planes: number of color planes; the channels of all planes are mixed.
    """

    def __init__(
        self, config: EnergyGatedConfig, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1
    ) -> None:
        super().__init__()
        self.planes = planes
        self.gate_planes = planes if config.gates is None else 1
        self.radius = config.window - 1
        self.noise_gain = noise_gain
        self.knots = knots
        count = config.gates or pairs
        self.gates = GATES[config.gate_kind](len(knots), count, config.terms, self.gate_planes)
        # Initially, the energy of a gate comes mostly from its own channel, or from several adjacent channels if there
        # are fewer gates than channels. The initial window is a Gaussian of standard deviation 1.
        own = torch.arange(pairs) * count // pairs
        mixing = torch.full((len(knots), 2, count, pairs), -4.0)
        mixing[:, 0, own, torch.arange(pairs)] += 6.5
        self.mixing_logits = nn.Parameter(mixing)
        offsets = torch.arange(config.window) - config.window // 2
        gaussian = -(offsets[:, None] ** 2 + offsets**2) / 2
        self.window_logits = nn.Parameter(gaussian.repeat(len(knots), count, 1, 1))

    def mixing(self, coordinates: Tensor) -> Tensor:
        """Return the matrix that mixes channels into gates, ``(S, gates, C)``.

        It is nonnegative, its columns sum to 1, and mirrored channels have the same entries for mirrored gates.
        """
        logits = NoiseKnots.interpolate(self.mixing_logits, coordinates)
        same, mirrored = logits.flatten(1, 2).softmax(dim=1).chunk(2, dim=1)
        return mirrored_table(same, mirrored, self.planes, self.gate_planes)

    def windows(self, coordinates: Tensor) -> Tensor:
        """Return the windows of the gates, ``(S, gates, k, k)``.

        Each is nonnegative, sums to 1 and is unchanged by a turn of 180 degrees. Mirrored gates have mirrored windows.
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

    def take_over(self, trained: Shrinkage) -> None:
        """See `Shrinkage.take_over`: the coupling, and gates of the same kind.

        The gates of a gray network are repeated for each color plane. If this network has fewer gates, the strongest
        are kept. If its windows are smaller, the trained windows are cropped.
        """
        if not isinstance(trained, EnergyGate):
            raise ValueError("its shrinkage is not energy-gated")
        if trained.planes not in (1, self.planes):
            raise ValueError(f"it has {trained.planes} color planes, not {self.planes}")
        mixing, windows, copies = trained.mixing_logits.detach(), trained.window_logits.detach(), 1
        if trained.planes != self.planes:
            if mixing.shape[2] != mixing.shape[3]:
                raise ValueError("gates that filters share cannot be spread over color planes")
            copies = self.planes
            mixing, windows = spread_over_planes(mixing, copies), windows.repeat(1, copies, 1, 1)
        kept = strongest_gates(mixing, min(mixing.shape[2], self.mixing_logits.shape[2]))
        margin = windows.shape[-1] - self.window_logits.shape[-1]
        if margin < 0:
            raise ValueError(f"its windows are {-margin} taps narrower")
        tables = {
            self.mixing_logits: mixing[:, :, kept],
            self.window_logits: crop(windows[:, kept], margin // 2),
        }
        for own, found in tables.items():
            if own.shape != found.shape:
                raise ValueError(f"a table of shape {tuple(found.shape)} does not fit {tuple(own.shape)}")
            with torch.no_grad():
                own.copy_(found)
        self.gates.take_over(trained.gates, copies, kept)

    def _energy(self, z: Tensor, sigma: Tensor, mixing: Tensor) -> Tensor:
        """Return the energies of ``z`` in units of the noise, mixed over channels."""
        return mix((z / self._unit(sigma)).square(), mixing)

    def _gated(self, z: Tensor, values: Tensor, windows: Tensor, mixing: Tensor) -> Tensor:
        """Multiply ``z`` by the values of the gates, averaged and mixed by the transpose."""
        # Windows are even, so averaging is its own adjoint.
        gains = average(self.bounded(values), windows)
        return crop(z, self.radius) * mix(gains, mixing.transpose(1, 2))


def strongest_gates(mixing: Tensor, count: int) -> Tensor:
    """Return the indices, ``(count,)`` in ascending order, of the gates to which channels give the largest shares.

    Args:
        mixing: logits of the mixing, ``(J, 2, gates, pairs)``; shares are averaged over the noise levels.
        count: how many gates to keep.
    """
    shares = mixing.detach().flatten(1, 2).softmax(dim=1).view_as(mixing).sum(dim=(0, 1, 3))
    return shares.topk(count).indices.sort().values


def spread_over_planes(mixing: Tensor, planes: int) -> Tensor:
    """Return the mixing logits of a color network that starts from a gray one.

    Each plane gets the gates of the gray network. All other planes together get the share `OTHER_PLANES`.

    Args:
        mixing: logits of the gray network, ``(J, 2, pairs, pairs)``.
        planes: number of color planes.

    Returns:
        ``(J, 2, planes * pairs, planes * pairs)``.
    """
    pairs = mixing.shape[-1]
    # The softmax normalizes a whole column, so the logits of the other planes are relative to the column's sum.
    total = mixing.flatten(1, 2).logsumexp(dim=1)
    entries = 2 * pairs * (planes - 1)
    others = total + math.log(OTHER_PLANES / (1 - OTHER_PLANES) / entries)
    wide = others.repeat(1, planes)[:, None, None].repeat(1, 2, planes * pairs, 1)
    for plane in range(planes):
        own = slice(plane * pairs, (plane + 1) * pairs)
        wide[:, :, own, own] = mixing
    return wide
