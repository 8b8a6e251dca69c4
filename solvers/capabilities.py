"""The requirements of solvers on a prior: a prox, or a curvature bound."""

from __future__ import annotations

import math

from gradprox.errors import InputError
from gradprox.priors.contract import Prior, ProximalOperator


def proximal(prior: Prior, solver: str) -> ProximalOperator:
    """Return the prior itself if it is a prox.

    Args:
        prior: any prior.
        solver: name of the solver that needs a prox, for the message.

    Raises:
        InputError: it is none.
    """
    if not prior.is_prox or not isinstance(prior, ProximalOperator):
        raise InputError(
            f"prior: {solver} needs a proximal operator, but {prior.name} has only an explicit energy: use HQS, GD or "
            "NMAPG, or a monotone network in a LearnedProx"
        )
    return prior


def curvature(prior: Prior, solver: str) -> float:
    """Return the proven bound of the curvature of ``R``, from which a step size follows.

    Args:
        prior: any prior.
        solver: name of the solver, for the message.

    Raises:
        InputError: no bound is proven.
    """
    bound = prior.curvature_bound()
    if not math.isfinite(bound):
        raise InputError(
            f"prior: {solver} takes its step size from the curvature of the energy, and no bound is proven for "
            f"{prior.name}: use HQS, GD or NMAPG, which find their steps by a line search"
        )
    return bound
