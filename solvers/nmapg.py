r"""Nonmonotone accelerated proximal gradient with line search (Li and Lin, NeurIPS 2015, algorithm 2).

It descends ``F = f + lambda R`` (see `gd`), whose nonsmooth part is the box, if there is one. Each step goes from an
extrapolated point ``y``, with a length found by the Barzilai-Borwein rule and halved until ``F`` falls enough. Where
the outcome ``z`` is not below the running mean ``c`` of past objectives, a plain step from ``x`` is made besides, and
the better of both is taken:

    F(x+) <= c - (delta/alpha) |x+ - (x or y)|^2,    c+ = (m q c + F(x+))/q+,    q+ = m q + 1.

So ``F(x) <= c`` always and ``c`` never rises, whatever the prior; ``F`` itself may, by less than it fell before, unless
the memory ``m`` is 0. A length of ``1/(L_f + lambda)`` is short enough to need no test, so the search ends; where no
norm is known it ends as well, at a length found by trial.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.smooth_objective import (
    Box,
    SmoothState,
    check_box,
    check_lambda_reg,
    project,
    smooth_state,
)
from gradprox.solvers.solver import Solver, choose, rounding

# The least descent, as a part of |step|^2 / length; any number below 1/2 keeps the proven length acceptable.
DELTA = 1e-4
SHRINK = 0.5
MAX_TRIALS = 60
# Of the length that needs no test: beyond it curvature is too small to be told from rounding.
LONGEST = 1e3


@dataclass(frozen=True)
class NMAPGState(SmoothState):
    """Where the iteration stands; the names in brackets are the paper's.

    Attributes:
        mean: running mean of the objectives (``c``), ``(B,)``: what never rises.
        mass: how many objectives it counts (``q``), ``(B,)``.
        before: the images one step earlier.
        momentum: the sequence of Nesterov (``t``), ``(B,)``.
        momentum_before: its last element.
        outcome: the outcome of the last extrapolated step (``z``).
        outcome_gradient: ``grad F`` there.
        origin: where that step began (``y``).
        origin_gradient: ``grad F`` there.
    """

    mean: Tensor
    mass: Tensor
    before: Tensor
    momentum: Tensor
    momentum_before: Tensor
    outcome: Tensor
    outcome_gradient: Tensor
    origin: Tensor
    origin_gradient: Tensor

    @property
    def merit(self) -> Tensor:
        """Return the running mean; see `State.merit`."""
        return self.mean


@dataclass(frozen=True, kw_only=True)
class NMAPG(Solver[NMAPGState]):
    """Nonmonotone accelerated gradient descent with line search: the objective of `GD` and `HQS`, and no step size.

    It needs no Lipschitz constant, hence takes any smooth data term and any operator.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer.
        memory: between 0, which lets no step raise the objective, and 1: how slowly past objectives are forgotten.
        box: the range of pixels, as ``(0, 1)``; any value if not given.
    """

    needs_norm = False
    needs_least_squares = False

    lambda_reg: float = 1.0
    memory: float = 0.8
    box: Box | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lambda_reg(self.lambda_reg)
        check_box(self.box)
        if not 0 <= self.memory < 1:
            raise InputError(f"memory must be in [0, 1), got {self.memory:g}")

    def start(self, data: DataTerm, prior: LearnedProx, x: Tensor) -> NMAPGState:
        """See `Solver.start`."""
        first = smooth_state(data, prior, self.sigma, self.lambda_reg, project(x, self.box))
        one = torch.ones_like(first.objective)
        x, gradient = first.x, first.gradient
        return NMAPGState(
            x,
            first.objective,
            first.magnitude,
            gradient,
            mean=first.objective,
            mass=one,
            before=x,
            momentum=one,
            momentum_before=torch.zeros_like(one),
            outcome=x,
            outcome_gradient=gradient,
            origin=x,
            origin_gradient=gradient,
        )

    def step(self, data: DataTerm, prior: LearnedProx, state: NMAPGState) -> NMAPGState:
        """See `Solver.step`."""
        toward_outcome = per_image(state.momentum_before / state.momentum, state.x)
        onward = per_image((state.momentum_before - 1) / state.momentum, state.x)
        origin = smooth_state(
            data,
            prior,
            self.sigma,
            self.lambda_reg,
            state.x + toward_outcome * (state.outcome - state.x) + onward * (state.x - state.before),
        )
        # Differences from the last origin measure the curvature.
        length = self._length(data, state, state.outcome, state.outcome_gradient)
        outcome, descent = self._search(
            data, prior, origin, length, torch.maximum(origin.objective, state.mean)
        )
        new, fails = outcome, ~(outcome.objective <= state.mean - descent)
        if bool(fails.any()):
            length = self._length(data, state, state.x, state.gradient)
            here = SmoothState(state.x, state.objective, state.magnitude, state.gradient)
            plain, _ = self._search(data, prior, here, length, state.mean)
            new = choose(fails & ~(outcome.objective <= plain.objective), plain, outcome)
        mass = self.memory * state.mass + 1
        return NMAPGState(
            new.x,
            new.objective,
            new.magnitude,
            new.gradient,
            mean=(self.memory * state.mass * state.mean + new.objective) / mass,
            mass=mass,
            before=state.x,
            momentum=(1 + (1 + 4 * state.momentum.square()).sqrt()) / 2,
            momentum_before=state.momentum,
            outcome=outcome.x,
            outcome_gradient=outcome.gradient,
            origin=origin.x,
            origin_gradient=origin.gradient,
        )

    def _safe_length(self, data: DataTerm) -> float:
        """Return the length that needs no test; 0 where no Lipschitz constant is known."""
        return 1 / (data.lipschitz + self.lambda_reg)

    def _length(self, data: DataTerm, state: NMAPGState, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the Barzilai-Borwein length from the last origin to ``x``, ``(B,)``."""
        moved, turned = x - state.origin, gradient - state.origin_gradient
        curvature = image_sum(moved * turned)
        first = self._safe_length(data) or 1 / self.lambda_reg
        length = torch.where(curvature > 0, image_sum(moved.square()) / curvature, first)
        return length.clamp(self._safe_length(data), LONGEST * first)

    def _search(
        self, data: DataTerm, prior: LearnedProx, origin: SmoothState, length: Tensor, reference: Tensor
    ) -> tuple[SmoothState, Tensor]:
        """Halve each image's length until its objective is below the reference by the least descent.

        Returns:
            The outcome, and the least descent, ``(B,)``.
        """
        safe = self._safe_length(data)
        for _ in range(MAX_TRIALS):
            x = project(origin.x - per_image(length, origin.x) * origin.gradient, self.box)
            trial = smooth_state(data, prior, self.sigma, self.lambda_reg, x)
            descent = DELTA * image_sum((x - origin.x).square()) / length
            accepted = trial.objective <= reference - descent + rounding(origin, trial)
            waiting = ~accepted & (length > safe)
            if not bool(waiting.any()):
                break
            length = torch.where(waiting, (SHRINK * length).clamp_min(safe), length)
        return trial, descent
