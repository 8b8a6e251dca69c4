"""The steps of half-quadratic splitting as torch modules, cut where the network is computed or a search begins.

`gradprox.export.graph.hqs_graph` joins them. All formulas are traced from `gradprox.solvers`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradprox.export.graph.fit_steps import Measured, Tensors
from gradprox.export.graph.solver_steps import MAX_ITER, Trial, values_of
from gradprox.solvers.hqs import HQSState, enough_descent, relaxed
from gradprox.solvers.line_search import SHRINK, Found, longer
from gradprox.solvers.smooth_objective import smooth_rounding


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


class Relax(Trial):
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
