r"""The step that proximal gradient solvers share: ``x+ = D(x - tau grad f(x))`` with its exact objective.

With ``D = prox_phi`` it is a step on ``F = tau f + phi``. For ``v = x - tau grad f(x)``,
``phi(x+) = R(v) - |v - x+|^2/2`` is known exactly (see `gradprox.priors.learned_prox`). ``phi`` is ``m``-weakly
convex with ``m = 1 - 1/L`` for an ``L``-Lipschitz ``D`` (``m = 0`` if ``L <= 1``), so the prox problem is
``(1 - m)``-strongly convex and

    F(x+) <= F(x) - (2 - m - tau L_f)/2 |x+ - x|^2,

a descent for every ``tau < (2 - m)/L_f``. This limit lies between ``1/L_f``, the rule for arbitrary ``phi``, and
``2/L_f``, the rule for convex ``phi``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import value_at_prox
from gradprox.priors.contract import Prior, Sigma
from gradprox.solvers.capabilities import proximal
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.rounding import SUM, energy_rounding, norm, operator_factor, roundoff
from gradprox.solvers.scalar import Scalar
from gradprox.solvers.state import State


@dataclass(frozen=True)
class ForwardBackwardState(State):
    """The state of a proximal gradient iteration.

    Attributes:
        gradient: ``grad f(x)``.
    """

    gradient: Tensor


def check_stepsize(tau: float | None, data: DataTerm, prior: Prior, solver: str) -> None:
    """Refuse a step size for which no descent is proven.

    Raises:
        InputError: ``tau`` is given and not in the legal interval, which the message states; or the prior is no prox.
    """
    limit = (2 - proximal(prior, solver).weak_convexity()) / data.lipschitz
    if tau is not None and not 0 < tau < limit:
        raise InputError(
            f"stepsize must be between 0 and {limit:.6g}, which is (2 - m)/L_f for this prior and this operator, so "
            f"that each step descends; got {tau:g}"
        )


def starting_state(data: DataTerm, x: Tensor) -> ForwardBackwardState:
    """Return the state before the first step. Its objective is unknown, because ``x`` is no output of ``D``."""
    value, gradient = data.value_and_gradient(x)
    unknown = torch.full_like(value, torch.nan)
    return ForwardBackwardState(x, unknown, unknown, gradient)


def full_step(lipschitz: Scalar) -> Scalar:
    """Return ``1/L_f``, the step size with which every prox descends."""
    return 1 / lipschitz


def toward_fit(tau: Scalar, x: Tensor, gradient: Tensor) -> Tensor:
    """Return ``x - tau gradient``, the images at which ``D`` is computed."""
    return x - tau * gradient


def forward_backward(
    data: DataTerm, prior: Prior, sigma: Sigma, tau: Scalar | None, x: Tensor, gradient: Tensor
) -> ForwardBackwardState:
    """Return the state at ``D(x - tau gradient)``; ``tau`` is ``1/L_f`` if not given, and nothing is checked."""
    tau = full_step(data.lipschitz) if tau is None else tau
    before = toward_fit(tau, x, gradient)
    new, envelope = prior.denoise_with_energy(before, sigma)
    fit, new_gradient = data.value_and_gradient(new)
    objective = tau * fit + value_at_prox(before, new, envelope)
    change = before - new
    length = norm(change).to(objective)
    rounding = (
        tau * data.rounding(new, fit)
        + energy_rounding(before, change, envelope, sigma)
        # An error of D moves phi(x+) through |v - x+|^2/2 as much as it moves R(v).
        + length * operator_factor(x) * norm(before).to(length)
        + SUM * roundoff(x) * length.square()
    )
    return ForwardBackwardState(new, objective, rounding, new_gradient)
