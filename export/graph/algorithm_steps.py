"""The steps of each exported solver as torch modules, cut where the network is computed or a search begins.

`gradprox.export.graph.algorithms` joins them. All formulas are traced from `gradprox.solvers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from gradprox.export.graph.fit_steps import Measured, Tensors
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_steps import MAX_ITER, values_of
from gradprox.priors.contract import Prior
from gradprox.solvers.fista import INERTIA, FISTAState, extrapolation, restarted
from gradprox.solvers.forward_backward import (
    ForwardBackwardState,
    forward_backward,
    full_step,
    starting_state,
    toward_fit,
)
from gradprox.solvers.gd import GDState
from gradprox.solvers.hqs import HQSState, enough_descent, relaxed
from gradprox.solvers.line_search import SHRINK, Found, longer, shorter
from gradprox.solvers.nmapg import (
    Lengths,
    NMAPGState,
    better_of,
    extrapolated,
    fails_to_descend,
    sound_origin,
)
from gradprox.solvers.presets import NMAPG_MEMORY
from gradprox.solvers.scalar import Scalar
from gradprox.solvers.smooth_objective import (
    SmoothState,
    acceptable,
    moved,
    smooth_rounding,
    smooth_state,
    step_length,
)
from gradprox.solvers.state import State


class Computed:
    """A prior that returns what another part of the graph has computed.

    Args:
        denoised: ``D`` at the images that it is asked for.
        energy: ``R`` there, ``(B,)``.
    """

    def __init__(self, denoised: Tensor, energy: Tensor) -> None:
        self.found = denoised, energy

    def denoise_with_energy(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See `gradprox.priors.contract.Prior`."""
        return self.found


class First(nn.Module):
    """The state before the first step.

    Args:
        make: returns the state for the values of a point.
    """

    def __init__(self, make: Callable[[Tensors], State]) -> None:
        super().__init__()
        self.make = make

    def forward(self, point: Tensors) -> Tensors:
        """Return the values of the state."""
        return values_of(self.make(point))


class Shorten(nn.Module):
    """The beginning of a trial of a line search."""

    def length(self, tried: Tensor, open_before: Tensor, proven: Tensor | float) -> Tensor:
        """Return the lengths of this trial: images without an acceptable step, ``open_before``, take a shorter one."""
        return torch.where(open_before, shorter(tried, proven), tried)


# Half-quadratic splitting.


class Objective(Measured):
    """The objective ``F = f + lambda R``."""

    def forward(
        self,
        new: Tensor,
        new_denoised: Tensor,
        energy: Tensor,
        y: Tensor,
        sigma: Tensor,
        lambda_reg: Tensor,
        known: Tensors,
    ) -> tuple[Tensor, Tensor]:
        """Return ``F`` at the images ``new``, and the bound of its rounding error, each ``(B,)``."""
        # Without a norm of A, the bound takes |A x| <= |y| + |A x - y|, which holds for every kernel. torch takes the
        # norm where it knows it; the two bounds differ by a small factor.
        data = self.data(y, known, math.inf)
        fit = data.value(new)
        rounding = smooth_rounding(data, sigma, lambda_reg, new, fit, energy, new - new_denoised)
        return fit + lambda_reg * energy, rounding


class WholeStep(nn.Module):
    """The weights of a fit with a prior that is a prox: no search is needed."""

    def forward(self, status: Tensor, lambda_reg: Tensor) -> Tensor:
        """Return the weights, ``(B,)``."""
        return lambda_reg * torch.ones_like(status).double()


class HQSSearch(nn.Module):
    """The part before the line search of a step."""

    def forward(self, status: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
        """Return twice the first length, and which images need one, each ``(B,)``: images that have stopped do not."""
        return longer(fraction) / SHRINK, status == MAX_ITER


class Relax(Shorten):
    """The beginning of a trial of this search."""

    def forward(
        self, x: Tensor, denoised: Tensor, tried: Tensor, open_before: Tensor, lambda_reg: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the lengths of this trial, the images to fit, and the weights of their fits."""
        length = self.length(tried, open_before, 0.0)
        target, weights = relaxed(x, denoised, length, lambda_reg)
        return length, target, weights


class HQSAccept(nn.Module):
    """The end of a trial of this search."""

    def forward(
        self,
        x: Tensor,
        objective: Tensor,
        rounding: Tensor,
        new: Tensor,
        new_objective: Tensor,
        new_rounding: Tensor,
        weights: Tensor,
        open_before: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return whether any image needs a further trial, and which do, ``(B,)``."""
        limit = objective - enough_descent(x, new, weights, rounding, new_rounding)
        still_open = open_before & ~(new_objective <= limit)
        return still_open.any(), still_open


class HQSTaken(nn.Module):
    """The end of a step with a search."""

    def forward(self, state: Tensors, found: Tensors, length: Tensor, unaccepted: Tensor) -> Tensors:
        """Return the values of the next state."""
        outcome = Found(HQSState.first(*found), length, ~unaccepted)
        return values_of(HQSState(*state).followed_by(outcome))


# Gradient descent and its search, which NMAPG shares.


class Smooth(Measured):
    """The objective ``F = f + lambda R`` with its gradient."""

    def forward(
        self,
        new: Tensor,
        new_denoised: Tensor,
        energy: Tensor,
        y: Tensor,
        sigma: Tensor,
        lambda_reg: Tensor,
        squared_norm: Tensor,
        known: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return ``F`` at the images ``new``, the bound of its rounding error, and the gradient."""
        prior = cast("Prior", Computed(new_denoised, energy))
        point = smooth_state(self.data(y, known, squared_norm), prior, sigma, lambda_reg, new)
        return point.objective, point.rounding, point.gradient.float()


class Move(Shorten):
    """The beginning of a trial of the search."""

    def forward(
        self, origin: Tensors, tried: Tensor, open_before: Tensor, proven: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the lengths of this trial, and the images after the step."""
        length = self.length(tried, open_before, proven)
        return length, moved(SmoothState(*origin), length)


class Accept(nn.Module):
    """The end of a trial of the search."""

    def forward(
        self,
        origin: Tensors,
        new: Tensors,
        reference: Tensor,
        trial_length: Tensor,
        proven: Tensor,
        open_before: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return whether any image needs a further trial, and which do, ``(B,)``."""
        point = SmoothState(*new)
        limit = acceptable(point, SmoothState(*origin), trial_length, reference)
        still_open = open_before & ~((point.objective <= limit) | (trial_length <= proven))
        return still_open.any(), still_open


class Curved(nn.Module):
    """Base of the parts that know the curvature of the energy.

    Args:
        curvature: a proven bound of the curvature of ``R``; infinite where none is known.
    """

    def __init__(self, curvature: float) -> None:
        super().__init__()
        self.curvature = curvature

    def natural(self, lambda_reg: Tensor, squared_norm: Tensor) -> Scalar:
        """Return the length of a full step."""
        return step_length(squared_norm, self.curvature, lambda_reg)


class Proven(Curved):
    """The length that needs no search."""

    def forward(self, lambda_reg: Tensor, squared_norm: Tensor) -> Tensor:
        """Return it, ``(1,)``; 0 where the curvature is not known."""
        return torch.zeros_like(lambda_reg) + Lengths.of(squared_norm, self.curvature, lambda_reg).least


class GDSearch(Curved):
    """The part before the search of a step of gradient descent."""

    def forward(
        self, status: Tensor, fraction: Tensor, lambda_reg: Tensor, squared_norm: Tensor
    ) -> tuple[Tensor, ...]:
        """Return twice the first length, and which images need a search."""
        full = self.natural(lambda_reg, squared_norm)
        return full * longer(fraction) / SHRINK, status == MAX_ITER


class GDTaken(Curved):
    """The end of a step of gradient descent."""

    def forward(
        self,
        state: Tensors,
        found: Tensors,
        length: Tensor,
        unaccepted: Tensor,
        lambda_reg: Tensor,
        squared_norm: Tensor,
    ) -> Tensors:
        """Return the values of the next state."""
        full = self.natural(lambda_reg, squared_norm)
        outcome = Found(SmoothState(*found), length, ~unaccepted)
        return values_of(GDState(*state).followed_by(outcome, full))


# Nonmonotone accelerated proximal gradient descent.


class Extrapolate(nn.Module):
    """The beginning of a step of NMAPG."""

    def forward(self, state: Tensors) -> Tensor:
        """Return the images from which the accelerated step is taken."""
        return extrapolated(NMAPGState(*state))


class NMAPGSearch(Curved):
    """The part before the search from the extrapolated point."""

    def forward(
        self, state: Tensors, tentative: Tensors, status: Tensor, lambda_reg: Tensor, squared_norm: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the origin, the objective to descend from, and the values of `GDSearch`."""
        before = NMAPGState(*state)
        lengths = Lengths.of(squared_norm, self.curvature, lambda_reg)
        origin = sound_origin(before, SmoothState(*tentative))
        length = lengths.barzilai_borwein(before, before.outcome, before.outcome_gradient)
        return (
            *values_of(origin),
            torch.maximum(origin.objective, before.mean),
            length / SHRINK,
            status == MAX_ITER,
        )


class PlainSearch(Curved):
    """The part before the search from the last images, where the accelerated step fails."""

    def forward(
        self,
        state: Tensors,
        origin: Tensors,
        found: Tensors,
        length: Tensor,
        status: Tensor,
        lambda_reg: Tensor,
        squared_norm: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the values of `NMAPGSearch`, and whether any image needs the search."""
        before = NMAPGState(*state)
        lengths = Lengths.of(squared_norm, self.curvature, lambda_reg)
        accelerated = Found(SmoothState(*found), length, status == MAX_ITER)
        fails = fails_to_descend(before, SmoothState(*origin), accelerated) & (status == MAX_ITER)
        return (
            *values_of(before.here),
            before.mean.clone(),
            lengths.barzilai_borwein(before, before.x, before.gradient) / SHRINK,
            fails,
            fails.any(),
        )


class NMAPGTaken(Curved):
    """The end of a step of NMAPG."""

    def forward(
        self,
        state: Tensors,
        origin: Tensors,
        found: Tensors,
        length: Tensor,
        plain: Tensors,
        plain_length: Tensor,
        fails: Tensor,
        lambda_reg: Tensor,
        squared_norm: Tensor,
    ) -> Tensors:
        """Return the values of the next state."""
        lengths = Lengths.of(squared_norm, self.curvature, lambda_reg)
        outcome = SmoothState(*found)
        new, fraction = better_of(
            fails,
            outcome,
            lengths.fraction(length, length),
            SmoothState(*plain),
            lengths.fraction(plain_length, plain_length),
        )
        after = NMAPGState(*state).followed_by(
            new,
            fraction,
            SmoothState(*origin),
            outcome,
            searched=lengths.proven is None,
            memory=NMAPG_MEMORY,
        )
        return values_of(after)


# Proximal gradient descent, plain and accelerated.


class Gradient(Measured):
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
        data, prior = self.data(y, known, squared_norm), cast("Prior", Computed(new, energy))
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
