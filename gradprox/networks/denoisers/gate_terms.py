"""The terms of gates: functions ``s(t)`` of an energy ``t >= 0`` that rise from 0 to at most 1.

Each term is evaluated in two steps. Its *argument* is computed first, because the value of the term and the value of
its primitive both need it. Tensors of parameters have the shape ``(S, channels, 1, 1)``, with ``S`` one or the batch.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.networks.denoisers.coupling import average
from gradprox.networks.ramps import ramp_primitive


class GateTerm(ABC):
    """A nondecreasing function of the energy ``t >= 0`` with values in ``[0, 1]``."""

    @abstractmethod
    def argument(self, t: Tensor) -> Tensor:
        """Return the argument at energies of shape ``(B, channels, h, w)``."""

    @classmethod
    def arguments_at_average(cls, terms: Sequence[GateTerm], energy: Tensor, windows: Tensor) -> list[Tensor]:
        """Return the arguments of several terms of this class, at energies averaged over windows.

        Args:
            terms: terms of this class.
            energy: energies ``(B, channels, h, w)``.
            windows: the windows, as `average` takes them.
        """
        averages = average(energy, windows)
        return [term.argument(averages) for term in terms]

    @abstractmethod
    def value(self, argument: Tensor) -> Tensor:
        """Return the value of the term."""

    @abstractmethod
    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """Return the integral of the term over energies from 0, given its argument and its value."""


@dataclass(frozen=True)
class RampTerm(GateTerm):
    """``clip(r, 0, 1)`` with the argument ``r = slope * t + start``."""

    slope: Tensor
    start: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `GateTerm.argument`."""
        return self.slope * t + self.start

    @classmethod
    def arguments_at_average(cls, terms: Sequence[GateTerm], energy: Tensor, windows: Tensor) -> list[Tensor]:
        """See `GateTerm.arguments_at_average`; windows are multiplied by the slope, so one convolution is enough."""
        ramps = [term for term in terms if isinstance(term, RampTerm)]
        return [average(energy, ramp.slope * windows, ramp.start) for ramp in ramps]

    def value(self, argument: Tensor) -> Tensor:
        """See `GateTerm.value`."""
        return argument.clamp(0, 1)

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """See `GateTerm.primitive`."""
        at_zero = ramp_primitive(self.start, self.start.clamp(0, 1))
        return (ramp_primitive(argument, value) - at_zero) / self.slope


@dataclass(frozen=True)
class NormTerm(GateTerm):
    """``(1 - sqrt(c / t))_+`` with center ``c`` and the argument ``sqrt(max(t, c))``."""

    center: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `GateTerm.argument`."""
        return torch.maximum(t, self.center).sqrt()

    def value(self, argument: Tensor) -> Tensor:
        """See `GateTerm.value`."""
        return 1 - self.center.sqrt() / argument

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:  # noqa: ARG002
        """See `GateTerm.primitive`."""
        return (argument - self.center.sqrt()).square()


@dataclass(frozen=True)
class FirmTerm(GateTerm):
    """``clip(l (1 - sqrt(c / t)), 0, 1)`` with ``l = 1 + excess`` and the argument ``1 / sqrt(t)``.

    The argument is computed from ``max(t, c/4)``, so that it is finite. The term is zero below ``c`` in any case.
    """

    center: Tensor
    excess: Tensor

    def argument(self, t: Tensor) -> Tensor:
        """See `GateTerm.argument`."""
        return torch.maximum(t, self.center / 4).rsqrt()

    @classmethod
    def arguments_at_average(cls, terms: Sequence[GateTerm], energy: Tensor, windows: Tensor) -> list[Tensor]:
        """See `GateTerm.arguments_at_average`: all terms share the argument of the term with the lowest center.

        Sharing changes no value, because each term is clipped at 0.
        """
        lowest = functools.reduce(
            torch.minimum, [term.center for term in terms if isinstance(term, FirmTerm)]
        )
        return [torch.maximum(average(energy, windows), lowest / 4).rsqrt()] * len(terms)

    def value(self, argument: Tensor) -> Tensor:
        """See `GateTerm.value`."""
        slope = 1 + self.excess
        return (slope - slope * self.center.sqrt() * argument).clamp(0, 1)

    def primitive(self, argument: Tensor, value: Tensor) -> Tensor:
        """See `GateTerm.primitive`.

        It is ``t s^2 / l = l (sqrt(t) - sqrt(c))^2`` while the term rises, and ``t - c l / (l - 1)`` above.
        """
        slope = 1 + self.excess
        rising = (value / argument).square() / slope
        # With an excess of zero the value stays below 1, so the second expression is not used.
        open_ = 1 / argument.square() - self.center * slope / self.excess.clamp_min(1e-20)
        return torch.where(value < 1, rising, open_)
