r"""The step that proximal gradient solvers share: ``x+ = D(x - tau grad f(x))`` with its exact objective.

With ``D = prox_phi`` it is a step on ``F = tau f + phi``. For ``v = x - tau grad f(x)``,
``phi(x+) = R(v) - |v - x+|^2/2`` is known exactly (see `gradprox.priors.learned_prox`). ``phi`` is ``m``-weakly
convex with ``m = 1 - 1/L`` for an ``L``-Lipschitz ``D`` (``m = 0`` if ``L <= 1``), so the prox problem is
``(1 - m)``-strongly convex and

    F(x+) <= F(x) - (2 - m - tau L_f)/2 |x+ - x|^2,

a descent for every ``tau < (2 - m)/L_f``: between ``1/L_f``, the rule for arbitrary ``phi``, and ``2/L_f``, the one
for convex ``phi``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import LearnedProx, value_at_prox
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.solver import State


@dataclass(frozen=True)
class ForwardBackwardState(State):
    """Where a proximal gradient iteration stands.

    Attributes:
        gradient: ``grad f(x)``.
    """

    gradient: Tensor


def check_stepsize(tau: float | None, data: DataTerm, prior: LearnedProx) -> None:
    """Refuse a step size for which descent is not proven.

    Raises:
        InputError: ``tau`` is given and not in the legal interval, which the message names.
    """
    limit = (2 - prior.weak_convexity()) / data.lipschitz
    if tau is not None and not 0 < tau < limit:
        raise InputError(
            f"proximal gradient steps descend for step sizes between 0 and {limit:.6g}, (2 - m)/L_f, with this "
            f"prior and this operator; got {tau:g}"
        )


def starting_state(data: DataTerm, x: Tensor) -> ForwardBackwardState:
    """Return the state before the first step; the objective is unknown, as ``x`` is no output of ``D``."""
    value, gradient = data.value_and_gradient(x)
    unknown = torch.full_like(value, torch.nan)
    return ForwardBackwardState(x, unknown, unknown, gradient)


def forward_backward(
    data: DataTerm, prior: LearnedProx, sigma: float, tau: float | None, x: Tensor, gradient: Tensor
) -> ForwardBackwardState:
    """Return the state at ``D(x - tau gradient)``; ``tau`` is ``1/L_f`` if not given."""
    tau = 1 / data.lipschitz if tau is None else tau
    v = x - tau * gradient
    new, envelope = prior.denoise_with_energy(v, sigma)
    value, new_gradient = data.value_and_gradient(new)
    phi = value_at_prox(v, new, envelope)
    magnitude = tau * value + 2 * envelope.abs() + phi.abs()
    return ForwardBackwardState(new, tau * value + phi, magnitude, new_gradient)
