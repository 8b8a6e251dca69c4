"""Targets with kinks and jumps: the gradient of an l1 norm, the prox of one, the prox of total variation in 1-D.

python benchmarks/paper/nondifferentiable.py --json nondifferentiable.json
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import torch
from baselines import MLP, SquaredReLU, gradient_of_icnn, gradient_of_mlp
from contest import (
    BASELINES,
    CONVEX_BASELINES,
    MONOTONE,
    Builder,
    Field,
    Training,
    compete,
    competition,
    lead,
    write,
)
from deepinv.optim import TVPrior
from torch import Tensor, nn

DIM = 8
THRESHOLD = 0.5


def rotation() -> Tensor:
    """Return an orthogonal matrix, so that the target is not separable in the coordinates of the input."""
    generator = torch.Generator().manual_seed(7)
    return torch.linalg.qr(torch.randn(DIM, DIM, generator=generator, dtype=torch.float64))[0]


def gradient_of_l1() -> Field:
    """Return the gradient of ``|A x|_1``, which has jumps."""
    A = rotation()
    return lambda x: (x @ A.T).sign() @ A


def prox_of_l1() -> Field:
    """Return the prox of ``THRESHOLD |A x|_1``: soft thresholding in a rotated frame."""
    A = rotation()
    return lambda x: torch.nn.functional.softshrink(x @ A.T, THRESHOLD) @ A


def prox_of_total_variation() -> Field:
    """Return the prox of ``THRESHOLD sum_i |x_(i+1) - x_i|``, from deepinv, with tolerance 1e-7."""
    prior = TVPrior(def_crit=1e-7, n_it_max=5000)
    return lambda x: prior.prox(x[:, None, None], gamma=THRESHOLD)[:, 0, 0]


# The baselines again, with activations that make their fields piecewise linear, like these targets.
PIECEWISE: dict[str, Builder] = {
    "MLP (ReLU)": partial(MLP, activation=lambda _: nn.ReLU()),
    "MLP gradient (squared ReLU)": partial(gradient_of_mlp, activation=lambda _: SquaredReLU()),
    "ICNN gradient (squared ReLU)": partial(gradient_of_icnn, activation=lambda _: SquaredReLU()),
}
TARGETS = {"sign": gradient_of_l1, "l1": prox_of_l1, "tv": prox_of_total_variation}


def sample(count: int, generator: torch.Generator) -> Tensor:
    """Draw standard Gaussian inputs."""
    return torch.randn(count, DIM, generator=generator)


def main() -> None:
    """Run the experiment."""
    parser = competition(__doc__, 640)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=[*TARGETS])
    options = parser.parse_args()
    settings = Training(lbfgs_steps=options.steps)
    report: dict[str, object] = {"training": asdict(settings)}
    for name in options.target:
        print(f"\n{name}: {TARGETS[name].__doc__}")  # noqa: T201
        results = compete(
            MONOTONE | CONVEX_BASELINES | BASELINES | PIECEWISE,
            DIM,
            TARGETS[name](),
            sample,
            settings,
            budget=options.budget,
            seeds=options.seeds,
            only=options.only,
        )
        report[name] = {"results": results} | lead(results)
    write(options.json, report)


if __name__ == "__main__":
    main()
