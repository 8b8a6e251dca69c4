"""High-dimensional gradient fields, convex and nonconvex (arXiv 2404.07361, section 6).

python benchmarks/paper/field_high.py --dim 32 --json field_32.json
python benchmarks/paper/field_high.py --dim 32 --field waves
"""

from __future__ import annotations

import math
from dataclasses import asdict

import torch
from contest import (
    BASELINES,
    CONVEX_BASELINES,
    GENERAL,
    MONOTONE,
    Field,
    Training,
    compete,
    competition,
    lead,
    write,
)
from torch import Tensor


def piecewise_quadratic(dim: int) -> Field:
    """Return the gradient of the convex ``sum_i max(0, a_i x + c_i)^2 / 2`` with ``2 dim`` random ridges."""
    generator = torch.Generator().manual_seed(7)
    ridges = torch.randn(2 * dim, dim, generator=generator, dtype=torch.float64) / math.sqrt(dim)
    offsets = torch.randn(2 * dim, generator=generator, dtype=torch.float64) / 2

    def field(x: Tensor) -> Tensor:
        return (x @ ridges.T + offsets).relu() @ ridges

    return field


def distance_to_ball(dim: int) -> Field:
    """Return the gradient of half the squared distance of ``A x`` from an l1 ball, with an orthogonal ``A``.

    This function is convex and piecewise quadratic, with exponentially many pieces. It is not a sum of ridge
    functions, because the threshold depends on all entries.
    """
    generator = torch.Generator().manual_seed(7)
    rotation, _ = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))
    radius = dim / 4

    def field(x: Tensor) -> Tensor:
        y = x @ rotation.T
        magnitudes = y.abs().sort(dim=1, descending=True).values
        # The projection soft-thresholds at the level for which the magnitudes sum to `radius`.
        levels = (magnitudes.cumsum(dim=1) - radius) / torch.arange(1, dim + 1)
        count = (magnitudes > levels).sum(dim=1, keepdim=True)
        level = levels.gather(1, count - 1).clamp_min(0)
        return torch.minimum(torch.maximum(y, -level), level) @ rotation

    return field


def waves(dim: int) -> Field:
    """Return the gradient of random plane waves and a Gaussian well, which is smooth and not convex."""
    generator = torch.Generator().manual_seed(7)
    frequencies = 2 * torch.randn(dim, dim, generator=generator, dtype=torch.float64) / math.sqrt(dim)
    phases = 2 * math.pi * torch.rand(dim, generator=generator, dtype=torch.float64)

    def field(x: Tensor) -> Tensor:
        well = torch.exp(-x.square().sum(dim=1, keepdim=True) / (2 * dim / 3))
        return (x @ frequencies.T + phases).cos() @ frequencies / 2 + 3 * well * x

    return field


FIELDS = {"ridges": piecewise_quadratic, "ball": distance_to_ball, "waves": waves}


def main() -> None:
    """Run the experiment."""
    parser = competition(__doc__, None, "; 6 dim^2 + 100 dim if not given")
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--field", choices=FIELDS, default="ridges")
    parser.add_argument("--samples", type=int, help="128 dim if not given")
    options = parser.parse_args()
    dim = options.dim

    def sample(count: int, generator: torch.Generator) -> Tensor:
        return 2 * torch.rand(count, dim, generator=generator) - 1

    field = FIELDS[options.field](dim)
    convex = options.field != "waves"
    builders = MONOTONE | CONVEX_BASELINES | BASELINES if convex else GENERAL | BASELINES
    settings = Training(lbfgs_steps=options.steps, samples=options.samples or 128 * dim)
    budget = options.budget or 6 * dim**2 + 100 * dim
    results = compete(
        builders, dim, field, sample, settings, budget=budget, seeds=options.seeds, only=options.only
    )
    report = {
        "dim": dim,
        "field": options.field,
        "training": asdict(settings),
        "results": results,
    }
    write(options.json, report | lead(results))


if __name__ == "__main__":
    main()
