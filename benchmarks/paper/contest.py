"""Train and score all networks alike: same data, same optimizer, same number of parameters."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from baselines import ICGN, MLP, gradient_of_icnn, gradient_of_mlp
from torch import Tensor, nn

from gradprox.networks import (
    Activation,
    Composed,
    Dense,
    GradNetC,
    GradNetM,
    LinearSpline,
    MGradNetC,
    MGradNetM,
    RadialStretch,
    Softmax,
    Softplus,
    TanhSum,
)

Field = Callable[[Tensor], Tensor]
Sampler = Callable[[int, torch.Generator], Tensor]
Builder = Callable[[int, int], nn.Module]


def modular(cls: type[GradNetM] | type[MGradNetM], activation: Callable[[int], nn.Module]) -> Builder:
    """Return a builder of GradNet-M with four modules."""
    return lambda dim, width: cls.dense(dim, width, modules=4, activation=activation)


def cascaded(cls: type[GradNetC] | type[MGradNetC], activation: Callable[[int], nn.Module]) -> Builder:
    """Return a builder of GradNet-C with two layers."""
    return lambda dim, width: cls.dense(dim, width, layers=2, activation=activation)


def radial(cls: type[GradNetM] | type[MGradNetM]) -> Builder:
    """Return a builder of GradNet-M with one module, whose activation acts on groups of four rows (two in the plane).

    Biases start at a third of the usual size, so that the centers of the groups start near the samples.
    """
    monotone = issubclass(cls, MGradNetM)

    def build(dim: int, groups: int) -> nn.Module:
        activation = partial(RadialStretch, groups=groups, monotone=monotone)
        network = cls.dense(dim, min(dim, 4) * groups, modules=1, activation=activation)
        with torch.no_grad():
            network.operator.bias.mul_(1 / 3)
        return network

    return build


def centered(activation: Callable[[int], Activation]) -> Builder:
    """Return a builder of ``W^T (g(W x + b) - g(b)) + a``: a monotone GradNet-M of one module, without its weight.

    Biases start at a tenth of the usual size.
    """

    def build(dim: int, width: int) -> nn.Module:
        network = Composed(Dense(dim, width), activation(width), centered=True)
        with torch.no_grad():
            network.operator.bias.mul_(1 / 10)
        return network

    return build


SIGNED_TANH = partial(TanhSum, terms=2, monotone=False)

MONOTONE: dict[str, Builder] = {
    "mGradNet-C (tanh sum)": cascaded(MGradNetC, partial(TanhSum, terms=2)),
    "mGradNet-C (spline)": cascaded(MGradNetC, LinearSpline),
    "mGradNet-M (tanh sum)": modular(MGradNetM, partial(TanhSum, terms=2)),
    "mGradNet-M (spline)": modular(MGradNetM, LinearSpline),
    "mGradNet-M (softmax)": modular(MGradNetM, Softmax),
    "mGradNet-M (radial)": radial(MGradNetM),
    "mGradNet-M (softplus, centered)": centered(Softplus),
}
GENERAL: dict[str, Builder] = {
    "GradNet-C (tanh sum)": cascaded(GradNetC, SIGNED_TANH),
    "GradNet-M (tanh sum)": modular(GradNetM, SIGNED_TANH),
    "GradNet-M (softmax)": modular(GradNetM, Softmax),
    "GradNet-M (radial)": radial(GradNetM),
}
CONVEX_BASELINES: dict[str, Builder] = {"ICNN gradient": gradient_of_icnn, "ICGN": ICGN}
BASELINES: dict[str, Builder] = {"MLP": MLP, "MLP gradient": gradient_of_mlp}


@dataclass(frozen=True)
class Training:
    """Settings of every training, in double precision: Adam to a good start, then L-BFGS on fixed samples.

    With Adam alone these small networks end 7 to 25 dB behind their best, which compares step sizes rather than
    architectures.

    Attributes:
        adam_steps: number of steps of Adam.
        rate: learning rate of Adam.
        lbfgs_steps: iterations of L-BFGS, with a strong Wolfe line search.
        samples: number of samples.
        batch: samples per step of Adam.
    """

    adam_steps: int = 200
    rate: float = 2e-2
    lbfgs_steps: int = 400
    samples: int = 2048
    batch: int = 512


def parameters(network: nn.Module) -> int:
    """Return the number of learned parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def matched(build: Builder, dim: int, budget: int) -> int:
    """Return the largest width whose network has at most ``budget`` parameters."""
    low, high = 2, 4
    while parameters(build(dim, high)) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(build(dim, middle)) <= budget else (low, middle)
    return low


def train(network: nn.Module, field: Field, x: Tensor, settings: Training, seed: int) -> float:
    """Train on the mean squared error of the field at ``x``; return the seconds it took."""
    generator = torch.Generator().manual_seed(seed)
    target = field(x)
    begun = time.perf_counter()
    adam = torch.optim.Adam(network.parameters(), settings.rate)
    for _ in range(settings.adam_steps):
        chosen = torch.randint(len(x), (settings.batch,), generator=generator)
        loss = (network(x[chosen]) - target[chosen]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    lbfgs = torch.optim.LBFGS(
        network.parameters(),
        max_iter=settings.lbfgs_steps,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss = (network(x) - target).square().mean()
        loss.backward()
        return loss

    lbfgs.step(closure)
    return time.perf_counter() - begun


def error_db(network: nn.Module, field: Field, x: Tensor) -> float:
    """Return the mean squared error per entry, relative to the field's mean square, in dB."""
    target = field(x)
    with torch.no_grad():
        error = (network(x) - target).square().mean()
    # A diverged training has a NaN error, which must lose the comparison.
    ratio = float(error / target.square().mean())
    return 10 * math.log10(ratio) if math.isfinite(ratio) else math.inf


def competition(
    description: str | None, budget: int | None, budget_help: str = ""
) -> argparse.ArgumentParser:
    """Return a parser with the options of every experiment."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400, help="L-BFGS iterations")
    parser.add_argument("--budget", type=int, default=budget, help=f"parameters of each network{budget_help}")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        metavar="NAME",
        help="train the networks whose names begin with NAME",
    )
    parser.add_argument("--json", type=Path)
    return parser


def compete(
    builders: dict[str, Builder],
    dim: int,
    field: Field,
    sample: Sampler,
    settings: Training,
    *,
    budget: int,
    seeds: int,
    only: Sequence[str] = ("",),
    inspect: Callable[[str, nn.Module, int], dict[str, float]] | None = None,
) -> dict[str, dict[str, object]]:
    """Train every competitor with every seed and print a table.

    Args:
        builders: the competitors.
        dim: of the field.
        field: the target.
        sample: draws inputs.
        settings: of training.
        budget: number of parameters allowed.
        seeds: number of repetitions; a seed sets weights and samples, the same samples for all.
        only: leave out competitors whose name begins with none of these.
        inspect: measures more of a trained network.

    Returns:
        For each competitor its parameters, the error in dB of every seed, mean and seconds.
    """
    test = sample(10_000, torch.Generator().manual_seed(10**6)).double()
    results: dict[str, dict[str, object]] = {}
    print(f"{'network':<28}{'parameters':>11}{'mean dB':>9}{'of each seed':>32}{'seconds':>9}")  # noqa: T201
    for name, build in builders.items():
        if not name.startswith(tuple(only)):
            continue
        width = matched(build, dim, budget)
        errors, seconds, more = [], [], []
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = build(dim, width).double()
            x = sample(settings.samples, torch.Generator().manual_seed(seed)).double()
            seconds.append(train(network, field, x, settings, seed))
            errors.append(error_db(network, field, test))
            if inspect is not None:
                more.append(inspect(name, network, seed))
        results[name] = {
            "parameters": parameters(network),
            "width": width,
            "error_db": errors,
            "mean_db": statistics.fmean(errors),
            "seconds": statistics.fmean(seconds),
        }
        for key in more[0] if more else ():
            results[name][key] = statistics.fmean(figures[key] for figures in more)
        each = " ".join(f"{error:.2f}" for error in errors)
        print(  # noqa: T201
            f"{name:<28}{parameters(network):>11}{statistics.fmean(errors):>9.2f}{each:>32}"
            f"{statistics.fmean(seconds):>9.1f}",
            flush=True,
        )
    return results


def lead(results: dict[str, dict[str, object]]) -> dict[str, object]:
    """Print by how many dB of the mean error the best gradient network is ahead of the best baseline.

    Returns:
        The lead and both names; empty if one of the two kinds was not trained.
    """
    scores = {name: float(str(result["mean_db"])) for name, result in results.items()}
    ours = [name for name in scores if "GradNet" in name]
    theirs = [name for name in scores if "GradNet" not in name]
    if not ours or not theirs:
        return {}
    best, rival = min(ours, key=scores.__getitem__), min(theirs, key=scores.__getitem__)
    ahead = scores[rival] - scores[best]
    print(f"{best} is {ahead:.2f} dB ahead of {rival}")  # noqa: T201
    return {"lead_db": ahead, "best": best, "best_baseline": rival}


def write(path: Path | None, report: dict[str, object]) -> None:
    """Write a report as JSON, if a path is given."""
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
