r"""Nonmonotone accelerated proximal gradient with line search (Li and Lin, NeurIPS 2015, algorithm 2).

It descends ``F = f + lambda R`` (see `gd`); the box, if there is one, is the nonsmooth part. Each step leads from
an extrapolated point ``y`` to a point ``z``. Its length follows from the Barzilai-Borwein rule, and is halved until
``F`` falls enough. If ``F(z)`` is not below the running mean ``c`` of past objectives, a plain step from ``x`` is
computed too. The better of the two results becomes ``x+``:

    F(x+) <= c - (delta/alpha) |x+ - (x or y)|^2,    c+ = (m q c + F(x+))/q+,    q+ = m q + 1.

So ``F(x) <= c`` always and ``c`` never rises, for every prior. With a memory ``m > 0``, ``F`` itself may rise,
but not above ``c``. A length of ``1/(L_f + lambda c_R)``, where ``c_R`` bounds the curvature of ``R``, needs no test,
so the search ends there. Where no bound is known, the search ends at the first length that passes the test.

Iterates and extrapolated points are projected onto the box. A data term may be finite on a box only (Poisson counts);
the intersection of both boxes is then taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.line_search import DELTA, SLACK, Found, SearchedState, backtrack
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_box, check_positive, number
from gradprox.solvers.smooth_objective import SmoothState, common_box, natural_length, project, smooth_state
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import choose

# The longest step as a multiple of the first one: smaller curvature is lost in rounding errors.
LONGEST = 1e3


@dataclass(frozen=True)
class NMAPGState(SmoothState, SearchedState):
    """The state of the iteration, with the paper's symbols in brackets.

    Attributes:
        mean: running mean of the objectives (``c``), ``(B,)``, which never rises.
        mass: the total weight of the objectives in the mean (``q``), ``(B,)``.
        before: the images one step earlier.
        momentum: the current element of Nesterov's sequence (``t``), ``(B,)``.
        momentum_before: the element before it.
        outcome: the result of the last step from an extrapolated point (``z``).
        outcome_gradient: ``grad F`` there.
        origin: the point where that step started (``y``).
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


@named_settings
@dataclass(frozen=True, kw_only=True)
class NMAPG(Solver[NMAPGState]):
    """Nonmonotone accelerated gradient descent with line search, on the objective of `GD` and `HQS`.

    It needs no step size and no Lipschitz constant, so it takes any smooth data term, any operator, and any prior with
    an explicit energy.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer.
        memory: the weight of past objectives in the running mean (``m``), in [0, 1). With 0, no step raises
            the objective.
        box: the range of pixel values, for example ``(0, 1)``; unbounded if not given.
    """

    needs_prox = False
    needs_norm = False
    data_terms = DataTerm

    lambda_reg: float = 1.0
    memory: float = 0.8
    box: Box | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lambda_reg", self.lambda_reg)
        check_box(self.box)
        if not 0 <= number("memory", self.memory) < 1:
            raise InputError(f"memory must be in [0, 1), got {self.memory:g}")

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> NMAPGState:
        """See `Solver.start`."""
        x = data.start_inside(project(x, common_box(self.box, data)))
        first = smooth_state(data, prior, self.sigma, self.lambda_reg, x)
        one = torch.ones_like(first.objective)
        x, gradient = first.x, first.gradient
        return NMAPGState(
            **vars(first),
            fraction=one,
            stalled=torch.zeros_like(one, dtype=torch.bool),
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

    def step(self, data: DataTerm, prior: Prior, state: NMAPGState) -> NMAPGState:
        """See `Solver.step`."""
        toward_outcome = per_image(state.momentum_before / state.momentum, state.x)
        onward = per_image((state.momentum_before - 1) / state.momentum, state.x)
        origin = smooth_state(
            data,
            prior,
            self.sigma,
            self.lambda_reg,
            project(
                state.x + toward_outcome * (state.outcome - state.x) + onward * (state.x - state.before),
                common_box(self.box, data),
            ),
        )
        here = SmoothState(state.x, state.objective, state.rounding, state.gradient)
        origin = choose(torch.isfinite(origin.objective), origin, here)
        # The change of the gradient since the last origin estimates the curvature.
        length = self._length(data, prior, state, state.outcome, state.outcome_gradient)
        found = self._search(data, prior, origin, length, torch.maximum(origin.objective, state.mean))
        outcome = new = found.state
        fraction = self._fraction(data, prior, found.length, length)
        fails = ~(outcome.objective <= state.mean - least_descent(outcome, origin, found.length))
        if bool(fails.any()):
            length = self._length(data, prior, state, state.x, state.gradient)
            plain = self._search(data, prior, here, length, state.mean)
            better = fails & ~(outcome.objective <= plain.state.objective)
            new = choose(better, plain.state, outcome)
            fraction = torch.where(better, self._fraction(data, prior, plain.length, length), fraction)
        # A step of proven length is always taken. A rise that exceeds rounding is counted as an objective increase.
        unproven = self._safe_length(data, prior) == 0
        stalled = unproven & (new.objective > state.mean + SLACK * (state.rounding + new.rounding))
        new = choose(~stalled, new, here)
        mass = self.memory * state.mass + 1
        return NMAPGState(
            **vars(new),
            fraction=fraction,
            stalled=stalled,
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

    def _safe_length(self, data: DataTerm, prior: Prior) -> float:
        """Return the length that needs no test; 0 where no bound of the curvature is known."""
        return 1 / (data.lipschitz + self.lambda_reg * prior.curvature_bound())

    def _fraction(self, data: DataTerm, prior: Prior, length: Tensor, first: Tensor) -> Tensor:
        """Return accepted lengths as fractions of the natural one, or of the first trial where that is unknown."""
        return (length / (natural_length(data, prior, self.lambda_reg) or first)).clamp_max(1.0)

    def _length(self, data: DataTerm, prior: Prior, state: NMAPGState, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the Barzilai-Borwein length from the last origin to ``x``, ``(B,)``."""
        moved, turned = x - state.origin, gradient - state.origin_gradient
        curvature = image_sum(moved * turned)
        safe = self._safe_length(data, prior)
        first = safe or 1 / self.lambda_reg
        length = torch.where(curvature > 0, image_sum(moved.square()) / curvature, first)
        return length.clamp(safe, LONGEST * first)

    def _search(
        self, data: DataTerm, prior: Prior, origin: SmoothState, length: Tensor, reference: Tensor
    ) -> Found[SmoothState]:
        """Shorten each image's step until its objective is below the reference by the smallest accepted descent."""
        box = common_box(self.box, data)

        def attempt(length: Tensor) -> tuple[SmoothState, Tensor]:
            x = project(origin.x - per_image(length, origin.x) * origin.gradient, box)
            trial = smooth_state(data, prior, self.sigma, self.lambda_reg, x)
            slack = SLACK * (origin.rounding + trial.rounding)
            return trial, reference - least_descent(trial, origin, length) + slack

        return backtrack(attempt, length, self._safe_length(data, prior))


def least_descent(new: SmoothState, origin: SmoothState, length: Tensor) -> Tensor:
    """Return the smallest accepted descent for steps of these lengths, ``(B,)``."""
    return DELTA * image_sum((new.x - origin.x).square()) / length
