r"""Several chains of Langevin sampling: run, saved, continued, and compared.

Chains that start at different images and agree have probably found the whole density around them. R-hat compares the
variance of all samples with that within the chains; it is 1 if they agree (Gelman and Rubin, Stat. Sci. 1992).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.posterior.density import Posterior
from gradprox.posterior.langevin import ChainState, first_state, next_state
from gradprox.priors.probing import root_with_error
from gradprox.priors.uncertainty import Uncertainty
from gradprox.solvers.settings import check_count


@dataclass(frozen=True)
class SampledDeviation(Uncertainty):
    """Deviations of samples, with their standard error from the spread of the chains.

    Attributes:
        mean: mean of the samples, ``(1, C, H, W)``: an estimate of the posterior mean.
        acceptance: share of the steps of each chain that were accepted, ``(N,)``.
        r_hat: R-hat, with the variances averaged over all pixels. Above 1.1 the chains were too short.
        state: the state of the chains.
    """

    mean: Tensor
    acceptance: Tensor
    r_hat: float
    state: ChainState


def sampled_deviation(
    posterior: Posterior,
    x: Tensor,
    *,
    chains: int = 4,
    burn_in: int = 500,
    samples: int = 2000,
    seed: int = 0,
    state: ChainState | None = None,
    report: Callable[[ChainState], None] | None = None,
) -> SampledDeviation:
    """Sample a posterior density, and return the deviation of each pixel.

    A step takes one pass of the denoiser over ``chains`` images. Neighboring samples are correlated, so the errors fall
    with the square root of a fraction of ``samples``; R-hat and ``error`` tell whether they suffice.

    Args:
        posterior: the density of one image.
        x: a restored image ``(1, C, H, W)``, near which the chains start.
        chains: number of chains, at least 2.
        burn_in: steps of each chain that adapt the step length and do not count.
        samples: steps of each chain that count, at least 2.
        seed: seed of the random numbers.
        state: where to go on: a state that ``report`` received or `load_chains` read, of the same settings. The result
            is that of an uninterrupted run, bit for bit.
        report: called with the state after each step, for a bar of progress or `save_chains`. An exception that it
            raises ends the run.

    Raises:
        InputError: illegal numbers, not one image, or a state of other shapes.
    """
    for name, count in (("chains", chains), ("burn_in", burn_in), ("samples", samples)):
        check_count(name, count)
    if min(chains, samples) < 2 or len(x) != 1:
        raise InputError(
            f"one image, 2 chains and 2 samples are the least, got {len(x)}, {chains} and {samples}"
        )
    if state is None:
        state = first_state(posterior, x, chains, seed)
    elif state.x.shape != (chains, *x.shape[1:]):
        raise InputError(f"state: is of images {tuple(state.x.shape)}, not {(chains, *x.shape[1:])}")
    while int(state.steps) < burn_in + samples:
        state = next_state(posterior, state, adapt=int(state.steps) < burn_in)
        if report:
            report(state)
    return summary(state)


def summary(state: ChainState) -> SampledDeviation:
    """Return the deviations of the samples so far."""
    chains, counted = len(state.x), float(state.counted)
    mean = state.mean.mean(dim=0, keepdim=True)
    within = state.scatter / (counted - 1)
    # The squared distances of the means of the chains from the common mean, corrected for estimating it.
    between = (state.mean - mean).square() * chains / (chains - 1)
    deviation, error = root_with_error(within * (counted - 1) / counted + between)
    total = (within.mean() * (counted - 1) / counted + between.mean()) / within.mean()
    return SampledDeviation(
        deviation[None].to(state.x),
        error[None].to(state.x),
        mean.to(state.x),
        state.accepted / counted,
        float(total.sqrt()),
        state,
    )


def save_chains(path: str | Path, state: ChainState) -> None:
    """Write the state of chains to a ``.safetensors`` file, whole or not at all."""
    with written_whole(path) as temporary:
        save_file({name: value.contiguous() for name, value in vars(state).items()}, temporary)


def load_chains(path: str | Path, device: str | torch.device = "cpu") -> ChainState:
    """Read the state of chains that `save_chains` wrote.

    Raises:
        InputError: the file is no such state.
    """
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if found.keys() != ChainState.__dataclass_fields__.keys():
        raise InputError(f"{path}: is not the state of chains that save_chains writes")
    on_cpu = ("random", "steps", "counted")
    return ChainState(
        **{name: value if name in on_cpu else value.to(device) for name, value in found.items()}
    )
