"""Competitors of the solvers: deepinv's total variation, and its plug-and-play loop with the same model."""

from __future__ import annotations

import deepinv
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.priors import LearnedProx

TV_ITERATIONS = 60
TV_INNER_ITERATIONS = 10


def total_variation(weight: float, y: Tensor, physics: LinearPhysics) -> Tensor:
    """Minimize ``|A x - y|^2/2 + weight TV(x)`` by deepinv's ADMM."""
    prior = deepinv.optim.TVPrior(n_it_max=TV_INNER_ITERATIONS)
    prior.TVModel.tau = 0.1  # deepinv's 0.01 needs thousands of iterations on the scale [0, 1]
    algorithm = deepinv.optim.optim_builder(
        "ADMM",
        prior=prior,
        data_fidelity=deepinv.optim.L2(),
        max_iter=TV_ITERATIONS,
        params_algo={"stepsize": 100.0, "lambda": weight},
    )
    return algorithm(y, physics)


def plug_and_play(prior: LearnedProx, sigma: float, steps: int, y: Tensor, physics: LinearPhysics) -> Tensor:
    """Iterate deepinv's PGD of step size 1 (``|A|`` must be at most 1), with ``D(., sigma)`` as the prox."""
    algorithm = deepinv.optim.optim_builder(
        "PGD",
        prior=deepinv.optim.PnP(denoiser=prior),
        data_fidelity=deepinv.optim.L2(),
        max_iter=steps,
        params_algo={"stepsize": 1.0, "g_param": sigma},
    )
    return algorithm(y, physics)
