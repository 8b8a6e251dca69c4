"""The steps of PGD and FISTA as torch modules, cut where the network is computed.

`gradprox.export.graph.proximal_graph` joins them. All formulas are traced from `gradprox.solvers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from gradprox.export.graph.fit_steps import Measured, Tensors
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_steps import MAX_ITER, ComputedPrior, values_of
from gradprox.priors.contract import Prior
from gradprox.solvers.fista import INERTIA, FISTAState, extrapolation, restarted
from gradprox.solvers.forward_backward import (
    ForwardBackwardState,
    forward_backward,
    full_step,
    starting_state,
    toward_fit,
)
from gradprox.solvers.state import State


class FirstGradient(Measured):
    """The state before the first step.

    Args:
        problem: the kind of measurement.
        make: returns the state for the values of a point.
    """

    def __init__(self, problem: Problem, make: Callable[[ForwardBackwardState], State]) -> None:
        super().__init__(problem)
        self.make = make

    def forward(self, x: Tensor, y: Tensor, squared_norm: Tensor, known: Tensors) -> Tensors:
        """Return the values of the state."""
        point = starting_state(self.data(y, known, squared_norm), x)
        single = ForwardBackwardState(x, point.objective, point.rounding, point.gradient.float())
        return values_of(self.make(single))


class TowardFit(nn.Module):
    """The beginning of a proximal gradient step."""

    def forward(self, ahead: Tensor, ahead_gradient: Tensor, squared_norm: Tensor) -> Tensor:
        """Return the images at which ``D`` is computed."""
        return toward_fit(full_step(squared_norm), ahead, ahead_gradient)


class ForwardBackward(Measured):
    """The end of this step."""

    def forward(
        self,
        ahead: Tensor,
        ahead_gradient: Tensor,
        new: Tensor,
        energy: Tensor,
        y: Tensor,
        sigma: Tensor,
        squared_norm: Tensor,
        known: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return the objective at ``new``, which is ``D``, the bound of its rounding error, and the gradient."""
        data, prior = self.data(y, known, squared_norm), cast("Prior", ComputedPrior(new, energy))
        point = forward_backward(data, prior, sigma, None, ahead, ahead_gradient)
        return point.objective, point.rounding, point.gradient.float()


class Ahead(nn.Module):
    """The beginning of a step of FISTA."""

    def forward(self, state: Tensors) -> tuple[Tensor, Tensor]:
        """Return the extrapolated point, and the gradient there."""
        return extrapolation(FISTAState(*state), INERTIA)


class Compare(nn.Module):
    """The comparison of the objective with that before."""

    def forward(self, fast_objective: Tensor, objective: Tensor, status: Tensor) -> tuple[Tensor, Tensor]:
        """Return which running images have a larger objective than before, ``(B,)``, and whether any has."""
        worse = (status == MAX_ITER) & (fast_objective > objective)
        return worse, worse.any()


class FISTATaken(nn.Module):
    """The end of a step of FISTA."""

    def forward(self, state: Tensors, fast: Tensors, plain: Tensors, worse: Tensor) -> Tensors:
        """Return the values of the next state: where the accelerated step is ``worse``, that of the plain one."""
        before = FISTAState(*state)
        kinds = ForwardBackwardState(*plain), ForwardBackwardState(*fast)
        return values_of(before.followed_by(*restarted(worse, *kinds, before.momentum + 1)))
