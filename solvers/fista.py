r"""Accelerated proximal gradient descent that never lets the objective rise.

A step of proximal gradient descent is taken from the extrapolated point ``x + beta (x - x_before)``, with
``beta = (k - 1)/(k + a)`` after ``k`` steps (Beck and Teboulle, SIAM J. Imaging Sci. 2009; Chambolle and Dossal, JOTA
2015). The objective of its outcome is exact, so a rise is noticed. Then the step is discarded, a plain step from ``x``
takes its place, which provably descends (see `gradprox.solvers.forward_backward`), and the momentum restarts from zero
(restart on the function value, O'Donoghue and Candes, Found. Comput. Math. 2015). So the objective descends for every
learned prox, convex or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import per_image
from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.forward_backward import (
    ForwardBackwardState,
    check_stepsize,
    forward_backward,
    starting_state,
)
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_positive, number
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import choose

# The momentum grows more slowly for larger values.
INERTIA = 3.0


@dataclass(frozen=True)
class FISTAState(ForwardBackwardState):
    """The state of the accelerated iteration.

    Attributes:
        before: the images one step earlier.
        gradient_before: ``grad f`` there.
        momentum: steps since the last restart, ``(B,)``.
    """

    before: Tensor
    gradient_before: Tensor
    momentum: Tensor

    @classmethod
    def first(cls, point: ForwardBackwardState) -> FISTAState:
        """Return the state before the first step."""
        momentum = torch.zeros_like(point.objective)
        return cls(**vars(point), before=point.x, gradient_before=point.gradient, momentum=momentum)

    def followed_by(self, new: ForwardBackwardState, momentum: Tensor) -> FISTAState:
        """Return the state after a step to ``new``."""
        return FISTAState(**vars(new), before=self.x, gradient_before=self.gradient, momentum=momentum)


@named_settings
@dataclass(frozen=True, kw_only=True)
class FISTA(Solver[FISTAState]):
    """Accelerated plug-and-play proximal gradient descent with restart.

    Its objective and the meaning of ``sigma`` are those of `PGD`; it takes fewer steps.

    Attributes:
        stepsize: as in `PGD`; ``1/L_f`` if not given.
        inertia: ``a``, at least 2. The momentum grows more slowly for larger values.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(torch.rand(1, 1, 24, 20))
        >>> result = FISTA(sigma=0.02, max_iter=5)(y, physics, load_model("gray-fast"))
        >>> result.x.shape, int(result.objective_increases[0])
        (torch.Size([1, 1, 24, 20]), 0)
    """

    stepsize: float | None = None
    inertia: float = INERTIA

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stepsize is not None:
            check_positive("stepsize", self.stepsize)
        if not 2 <= number("inertia", self.inertia) < float("inf"):
            raise InputError(f"inertia must be at least 2, got {self.inertia:g}")

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> FISTAState:
        """See `Solver.start`."""
        check_stepsize(self.stepsize, data, prior, "FISTA")
        return FISTAState.first(starting_state(data, x))

    def step(self, data: DataTerm, prior: Prior, state: FISTAState) -> FISTAState:
        """See `Solver.step`."""
        point, slope = extrapolation(state, self.inertia)
        new = forward_backward(data, prior, self.sigma, self.stepsize, point, slope)
        momentum = state.momentum + 1
        worse = new.objective > state.objective
        if bool(worse.any()):
            plain = forward_backward(data, prior, self.sigma, self.stepsize, state.x, state.gradient)
            new, momentum = restarted(worse, plain, new, momentum)
        return state.followed_by(new, momentum)


def restarted(
    worse: Tensor, plain: ForwardBackwardState, new: ForwardBackwardState, momentum: Tensor
) -> tuple[ForwardBackwardState, Tensor]:
    """Return the state and the momentum after a step: where it is ``worse``, ``(B,)``, those of a ``plain`` step."""
    return choose(worse, plain, new), torch.where(worse, 1.0, momentum)


def extrapolation(state: FISTAState, inertia: float) -> tuple[Tensor, Tensor]:
    """Return the point from which an accelerated step is taken, and ``grad f`` there.

    ``grad f`` is affine: its value at the extrapolated point is the extrapolation of its values.
    """
    beta = per_image(state.momentum / (state.momentum + 1 + inertia), state.x)
    point = state.x + beta * (state.x - state.before)
    return point, state.gradient + beta * (state.gradient - state.gradient_before)
