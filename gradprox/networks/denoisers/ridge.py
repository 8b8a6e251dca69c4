"""The ridge shrinkage: every coefficient is shrunk by its own energy, ``K = I`` (see `shrinkage`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.gates import GATES, GateKind
from gradprox.networks.denoisers.shrinkage import Shrinkage, ShrinkageConfig


class RidgeConfig(ShrinkageConfig):
    """The settings of a `RidgeShrinkage`.

    Attributes:
        kind: the shrinkage's name in files.
        terms: number of terms of each gate.
        gate_kind: the kind of gates, see `gates`.
    """

    kind: Literal["ridge"] = "ridge"
    terms: int = Field(default=2, ge=1, le=16)
    gate_kind: GateKind = "ramp"

    def build(self, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1) -> RidgeShrinkage:
        """See `ShrinkageConfig.build`."""
        return RidgeShrinkage(self, pairs, noise_gain, knots, planes)


class RidgeShrinkage(Shrinkage):
    """One gate for each pair of channels, opened by the energy of the coefficient itself.

    Args:
        config: its settings.
        pairs: see `ShrinkageConfig.build`, as for the other arguments.
        noise_gain: norm of a filter.
        knots: noise levels at which parameters are stored.
        planes: number of color planes.
    """

    radius = 0

    def __init__(
        self, config: RidgeConfig, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1
    ) -> None:
        super().__init__()
        self.noise_gain = noise_gain
        self.knots = knots
        self.planes = planes
        self.gates = GATES[config.gate_kind](len(knots), pairs, config.terms, planes)

    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """See `Shrinkage.gradient`."""
        gains = self.gates.at(self.knots.coordinates(sigma)).value((z / self._unit(sigma)).square())
        return z * self.bounded(gains)

    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `Shrinkage.gradient_and_density`."""
        unit = self._unit(sigma)
        energy = (z / unit).square()
        gates = self.gates.at(self.knots.coordinates(sigma))
        gains = self.bounded(gates.value(energy))
        return z * gains, unit**2 / 2 * gates.primitive(energy).sum(dim=1, keepdim=True)

    def slope_bound(self) -> float:
        """See `Shrinkage.slope_bound`."""
        return self.gates.slope_bound()

    def take_over(self, trained: Shrinkage) -> None:
        """See `Shrinkage.take_over`: gates of the same kind, copied to every plane."""
        if not isinstance(trained, RidgeShrinkage):
            raise ValueError("its shrinkage is not of the ridge kind")
        if trained.planes not in (1, self.planes):
            raise ValueError(f"it has {trained.planes} color planes, not {self.planes}")
        self.gates.take_over(trained.gates, self.planes // trained.planes)
