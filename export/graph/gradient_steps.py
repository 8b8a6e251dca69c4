"""The steps of GD and NMAPG as torch modules, cut where the network is computed or a search begins.

`gradprox.export.graph.gradient_graph` joins them. All formulas are traced from `gradprox.solvers`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gradprox.export.graph.fit_steps import Measured, Tensors
from gradprox.export.graph.solver_steps import MAX_ITER, ComputedPrior, Trial, values_of
from gradprox.priors.contract import Prior
from gradprox.solvers.gd import GDState
from gradprox.solvers.line_search import SHRINK, Found, longer
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
from gradprox.solvers.smooth_objective import SmoothState, acceptable, moved, smooth_state, step_length

# Gradient descent and its search, which NMAPG shares.


class ObjectiveWithGradient(Measured):
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
        prior = cast("Prior", ComputedPrior(new_denoised, energy))
        point = smooth_state(self.data(y, known, squared_norm), prior, sigma, lambda_reg, new)
        return point.objective, point.rounding, point.gradient.float()


class Move(Trial):
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
