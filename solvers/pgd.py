r"""Plug-and-play proximal gradient descent with an exact objective.

``x+ = D(x - tau grad f(x))`` is proximal gradient descent on ``F = tau f + phi``, where ``D = prox_phi``. With
``v = x - tau grad f(x)``, ``phi(x+) = R(v) - |v - x+|^2/2`` is known exactly (see
`gradprox.operators.learned_prox`). ``phi`` is ``m``-weakly convex with ``m = 1 - 1/L`` for an ``L``-Lipschitz
``D`` (``m = 0`` if ``L <= 1``), so the prox problem is ``(1 - m)``-strongly convex and

    F(x+) <= F(x) - (2 - m - tau L_f)/2 |x+ - x|^2,

a descent for every ``tau < (2 - m)/L_f``: between ``1/L_f``, the rule for arbitrary ``phi``, and ``2/L_f``, the
one for convex ``phi``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.operators import LearnedProx, value_at_prox
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.solver import Solver, State


@dataclass(frozen=True)
class PGDState(State):
    """Where proximal gradient descent stands.

    Attributes:
        gradient: ``grad f(x)``.
    """

    gradient: Tensor


@dataclass(frozen=True, kw_only=True)
class PGD(Solver[PGDState]):
    """Plug-and-play proximal gradient descent: ``x+ = D(x - tau grad f(x))``.

    The prox stands for one function, so the strength of the prior is set by ``sigma`` (and, as the objective is
    ``tau f + phi``, tied to the step size).

    Attributes:
        stepsize: ``tau``; ``1/L_f`` if not given. Must be below ``(2 - m)/L_f``.
    """

    stepsize: float | None = None

    def start(self, data: LeastSquares, prior: LearnedProx, x: Tensor) -> PGDState:
        """See `Solver.start`."""
        limit = (2 - prior.weak_convexity()) / data.lipschitz
        if self.stepsize is not None and not 0 < self.stepsize < limit:
            raise InputError(
                f"PGD descends for step sizes between 0 and {limit:.6g}, (2 - m)/L_f, with this prior and this "
                f"operator; got {self.stepsize:g}"
            )
        value, gradient = data.value_and_gradient(x)
        # phi is known at outputs of D only, and x is none.
        unknown = torch.full_like(value, torch.nan)
        return PGDState(x, unknown, unknown, gradient)

    def step(self, data: LeastSquares, prior: LearnedProx, state: PGDState) -> PGDState:
        """See `Solver.step`."""
        tau = 1 / data.lipschitz if self.stepsize is None else self.stepsize
        v = state.x - tau * state.gradient
        x, envelope = prior.prox_and_envelope(v, self.sigma)
        value, gradient = data.value_and_gradient(x)
        phi = value_at_prox(v, x, envelope)
        return PGDState(x, tau * value + phi, tau * value + 2 * envelope.abs() + phi.abs(), gradient)
