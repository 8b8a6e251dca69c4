r"""Samples of a posterior density by Langevin dynamics with a Metropolis test (MALA).

A step proposes ``z = x - h grad U(x) + sqrt(2 h) w`` with white Gaussian ``w``. It is accepted with the probability

    min(1, exp(U(x) - U(z)) q(x | z) / q(z | x)),    q(z | x) = exp(-|z - x + h grad U(x)|^2 / (4 h)),

so ``exp(-U)`` is invariant exactly, for every step length ``h`` (Roberts and Tweedie, Bernoulli 1996). The test needs
the energy itself, not only its gradient. It is legal here because the energy of the prior is explicit.

``h`` is adapted to an acceptance rate of 0.574 (Roberts and Rosenthal, J. R. Stat. Soc. B 1998) during burn-in only.
Afterwards it is fixed, so that the chains are Markov chains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.posterior.density import Posterior
from gradprox.seeds import seeded_generator

# The acceptance rate that adaptation aims at, and the power of the step number by which its changes fall.
ACCEPTANCE, DECAY = 0.574, 0.6


@dataclass(frozen=True)
class ChainState:
    """The state of ``N`` chains of one image; all that is needed to go on.

    Attributes:
        x: the current images, ``(N, C, H, W)``.
        energy: ``U(x)``, ``(N,)``, double precision.
        gradient: ``grad U(x)``.
        log_length: logarithm of the step length ``h`` of each chain, ``(N,)``, double precision.
        steps: number of steps done, ``(1,)``.
        counted: number of steps done after burn-in, ``(1,)``.
        accepted: number of accepted steps of each chain after burn-in, ``(N,)``.
        mean: mean of each chain after burn-in, ``(N, C, H, W)``, double precision.
        scatter: sum of the squared distances from it, the same shape.
        random: state of the random numbers.
    """

    x: Tensor
    energy: Tensor
    gradient: Tensor
    log_length: Tensor
    steps: Tensor
    counted: Tensor
    accepted: Tensor
    mean: Tensor
    scatter: Tensor
    random: Tensor


def first_state(posterior: Posterior, x: Tensor, chains: int, seed: int) -> ChainState:
    """Return the state before the first step: the image ``x``, ``(1, C, H, W)``, plus noise of its level."""
    generator = seeded_generator(seed)
    shape = (chains, *x.shape[1:])
    start = x + posterior.noise * torch.randn(shape, generator=generator, dtype=x.dtype).to(x.device)
    energy, gradient = posterior.energy_and_gradient(start)
    # Twice the squared deviation of a density with the curvature of the data term and of the regularizer together.
    length = posterior.noise**2 / (1 + posterior.lambda_reg) * x[0].numel() ** (-1 / 3)
    whole = torch.zeros(1, dtype=torch.long)
    return ChainState(
        start,
        energy,
        gradient,
        log_length=torch.full_like(energy, math.log(length)),
        steps=whole,
        counted=whole,
        accepted=torch.zeros_like(energy),
        mean=torch.zeros_like(start, dtype=torch.float64),
        scatter=torch.zeros_like(start, dtype=torch.float64),
        random=generator.get_state(),
    )


@torch.no_grad()
def next_state(posterior: Posterior, state: ChainState, *, adapt: bool) -> ChainState:
    """Return the state after one step of every chain.

    Args:
        posterior: the density.
        state: the state before.
        adapt: whether the step belongs to burn-in: it adapts the step length, and does not count.
    """
    generator = torch.Generator()
    generator.set_state(state.random)
    x = state.x
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    threshold = torch.rand(len(x), generator=generator, dtype=torch.float64).log().to(state.energy)
    length = state.log_length.exp()
    h = per_image(length, x)
    proposed = x - h * state.gradient + (2 * h).sqrt() * noise
    energy, gradient = posterior.energy_and_gradient(proposed)
    there = _log_proposal(proposed, x, state.gradient, length)
    back = _log_proposal(x, proposed, gradient, length)
    log_ratio = state.energy - energy + back - there
    accepted = threshold < log_ratio  # false for NaN too
    keep = per_image(accepted, x)
    moved = replace(
        state,
        x=torch.where(keep, proposed, x),
        energy=torch.where(accepted, energy, state.energy),
        gradient=torch.where(keep, gradient, state.gradient),
        steps=state.steps + 1,
        random=generator.get_state(),
    )
    if adapt:
        rate = log_ratio.nan_to_num(-math.inf, 0, -math.inf).clamp_max(0).exp()
        change = float(state.steps + 1) ** -DECAY * (rate - ACCEPTANCE)
        return replace(moved, log_length=state.log_length + change)
    return _counted(moved, accepted)


def _log_proposal(z: Tensor, x: Tensor, gradient: Tensor, length: Tensor) -> Tensor:
    """Return ``log q(z | x)`` up to a constant, ``(N,)``, where ``gradient`` is ``grad U(x)``."""
    return -image_sum((z - x + per_image(length, x) * gradient).square()) / (4 * length)


def _counted(state: ChainState, accepted: Tensor) -> ChainState:
    """Return the state with its images added to mean and scatter (Welford, Technometrics 1962)."""
    counted = state.counted + 1
    off = state.x.double() - state.mean
    mean = state.mean + off / float(counted)
    return replace(
        state,
        counted=counted,
        accepted=state.accepted + accepted,
        mean=mean,
        scatter=state.scatter + off * (state.x.double() - mean),
    )
