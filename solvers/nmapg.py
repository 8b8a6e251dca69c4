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
from gradprox.solvers.line_search import SLACK, Found, SearchedState
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.scalar import Scalar, is_finite
from gradprox.solvers.settings import check_box, check_positive, number
from gradprox.solvers.smooth_objective import (
    SmoothState,
    common_box,
    least_descent,
    natural_length,
    project,
    search,
    smooth_state,
)
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

    @classmethod
    def first(cls, point: SmoothState) -> NMAPGState:
        """Return the state before the first step."""
        one, x, gradient = torch.ones_like(point.objective), point.x, point.gradient
        return cls(
            **vars(point),
            fraction=one,
            stalled=torch.zeros_like(one, dtype=torch.bool),
            mean=point.objective,
            mass=one,
            before=x,
            momentum=one,
            momentum_before=torch.zeros_like(one),
            outcome=x,
            outcome_gradient=gradient,
            origin=x,
            origin_gradient=gradient,
        )

    @property
    def merit(self) -> Tensor:
        """Return the running mean; see `State.merit`."""
        return self.mean

    @property
    def here(self) -> SmoothState:
        """Return the images with their objective and gradient."""
        return SmoothState(self.x, self.objective, self.rounding, self.gradient)

    def followed_by(
        self,
        new: SmoothState,
        fraction: Tensor,
        origin: SmoothState,
        outcome: SmoothState,
        *,
        searched: bool,
        memory: float,
    ) -> NMAPGState:
        """Return the state after a step.

        Args:
            new: the result of the step.
            fraction: its length, `SearchedState.fraction`.
            origin: where the accelerated step began.
            outcome: its result.
            searched: whether no length of the step is proven, so that it may fail.
            memory: the weight of past objectives in the running mean.
        """
        # A step of proven length is always taken. A rise that exceeds rounding is counted as an objective increase.
        stalled = (new.objective > self.mean + SLACK * (self.rounding + new.rounding)) & searched
        new = choose(~stalled, new, self.here)
        mass = memory * self.mass + 1
        return NMAPGState(
            **vars(new),
            fraction=fraction,
            stalled=stalled,
            mean=(memory * self.mass * self.mean + new.objective) / mass,
            mass=mass,
            before=self.x,
            momentum=(1 + (1 + 4 * self.momentum.square()).sqrt()) / 2,
            momentum_before=self.momentum,
            outcome=outcome.x,
            outcome_gradient=outcome.gradient,
            origin=origin.x,
            origin_gradient=origin.gradient,
        )


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
        return NMAPGState.first(smooth_state(data, prior, self.sigma, self.lambda_reg, x))

    def step(self, data: DataTerm, prior: Prior, state: NMAPGState) -> NMAPGState:
        """See `Solver.step`."""
        objective = data, prior, self.sigma, self.lambda_reg
        box, lengths = (
            common_box(self.box, data),
            Lengths.of(data.lipschitz, prior.curvature_bound(), self.lambda_reg),
        )
        origin = sound_origin(state, smooth_state(*objective, project(extrapolated(state), box)))
        length = lengths.barzilai_borwein(state, state.outcome, state.outcome_gradient)
        reference = torch.maximum(origin.objective, state.mean)
        found = search(*objective, origin, length, reference, box=box, proven=lengths.least)
        new, fraction = found.state, lengths.fraction(found.length, length)
        fails = fails_to_descend(state, origin, found)
        if bool(fails.any()):
            length = lengths.barzilai_borwein(state, state.x, state.gradient)
            plain = search(*objective, state.here, length, state.mean, box=box, proven=lengths.least)
            new, fraction = better_of(
                fails, new, fraction, plain.state, lengths.fraction(plain.length, length)
            )
        searched = lengths.proven is None
        return state.followed_by(new, fraction, origin, found.state, searched=searched, memory=self.memory)


@dataclass(frozen=True)
class Lengths:
    """The lengths of steps that follow from curvatures.

    Attributes:
        proven: the length that needs no test; None where no bound of the curvature is known.
        natural: `natural_length`; None where it is not known.
        first: the length of the first trial where the curvature cannot be estimated.
    """

    proven: Scalar | None
    natural: Scalar | None
    first: Scalar

    @classmethod
    def of(cls, lipschitz: Scalar, curvature: float, lambda_reg: Scalar) -> Lengths:
        """Return the lengths for ``L_f``, the bound of the curvature of ``R``, and its weight."""
        natural = natural_length(lipschitz, curvature, lambda_reg)
        proven = natural if is_finite(curvature) else None
        return cls(proven, natural, 1 / lambda_reg if proven is None else proven)

    @property
    def least(self) -> Scalar:
        """Return the length at which a search ends; 0 where none is proven."""
        return 0.0 if self.proven is None else self.proven

    def fraction(self, length: Tensor, first: Tensor) -> Tensor:
        """Return accepted lengths as fractions of the natural one, or of the first trial where that is unknown."""
        return (length / (first if self.natural is None else self.natural)).clamp_max(1.0)

    def barzilai_borwein(self, state: NMAPGState, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the Barzilai-Borwein length from the last origin to ``x``, ``(B,)``.

        The change of the gradient since the last origin estimates the curvature.
        """
        moved, turned = x - state.origin, gradient - state.origin_gradient
        curvature = image_sum(moved * turned)
        length = torch.where(curvature > 0, image_sum(moved.square()) / curvature, self.first)
        return length.clamp_min(self.least).clamp_max(LONGEST * self.first)


def extrapolated(state: NMAPGState) -> Tensor:
    """Return the images from which an accelerated step is taken."""
    toward_outcome = per_image(state.momentum_before / state.momentum, state.x)
    onward = per_image((state.momentum_before - 1) / state.momentum, state.x)
    return state.x + toward_outcome * (state.outcome - state.x) + onward * (state.x - state.before)


def sound_origin(state: NMAPGState, origin: SmoothState) -> SmoothState:
    """Return the extrapolated state; where its objective is not finite, the state itself."""
    return choose(torch.isfinite(origin.objective), origin, state.here)


def fails_to_descend(state: NMAPGState, origin: SmoothState, found: Found[SmoothState]) -> Tensor:
    """Return for which images, ``(B,)``, the accelerated step does not fall below the running mean."""
    return ~(found.state.objective <= state.mean - least_descent(found.state, origin, found.length))


def better_of(
    fails: Tensor, outcome: SmoothState, fraction: Tensor, plain: SmoothState, plain_fraction: Tensor
) -> tuple[SmoothState, Tensor]:
    """Return the better of the two steps, and its fraction, where the accelerated one ``fails``, ``(B,)``."""
    better = fails & ~(outcome.objective <= plain.objective)
    return choose(better, plain, outcome), torch.where(better, plain_fraction, fraction)
