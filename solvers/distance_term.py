"""The data term of any convex distance ``d`` of `deepinv.optim`: ``f(x) = d(A x, y)``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from deepinv.optim.distance import Distance
from torch import Tensor

from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.rounding import norm, operator_factor

D = TypeVar("D", bound="DistanceTerm")


@dataclass(frozen=True)
class DistanceTerm(DataTerm):
    """``f(x) = d(A x, y)`` for a convex distance ``d``.

    Attributes:
        norm_bound: a proven upper bound of ``|A|^2``; infinite where none is known.
        distance: ``d``.
    """

    norm_bound: float
    distance: Distance

    @property
    def squared_norm(self) -> float:
        """See `DataTerm.squared_norm`."""
        return self.norm_bound

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `DataTerm.value_and_gradient`."""
        u = self.physics.A(x)
        return self.value_of_measurements(u), self.physics.A_adjoint(self._slope(u))

    def value_of_measurements(self, u: Tensor) -> Tensor:
        """See `DataTerm.value_of_measurements`."""
        return self.distance(u, self.y).to(u.dtype if u.device.type == "mps" else torch.float64)

    def rounding(self, x: Tensor, value: Tensor) -> Tensor:
        """See `DataTerm.rounding`."""
        u = self.physics.A(x)
        slope = norm(self._slope(u)).to(value)
        shift = operator_factor(x) * (norm(u) + norm(self.y)).to(value)
        return slope * shift + torch.finfo(x.dtype).eps * value.abs()

    def dual_prox(self, u: Tensor, step: float) -> Tensor:
        """See `DataTerm.dual_prox`."""
        return self.distance.prox_conjugate(u, self.y, gamma=step).detach()

    def select(self: D, keep: Tensor) -> D:
        """See `DataTerm.select`."""
        return replace(self, y=self.y[keep], physics=self._physics_of(keep))

    def _slope(self, u: Tensor) -> Tensor:
        # deepinv marks its argument where it differentiates automatically.
        return self.distance.grad(u.clone(), self.y).detach()
