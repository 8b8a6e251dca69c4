"""The two-body problem: learn the gradient of its Hamiltonian, then compute orbits (arXiv 2404.07361, section 6).

python benchmarks/paper/hamiltonian.py --json hamiltonian.json
"""

from __future__ import annotations

import math
from dataclasses import asdict

import torch
from contest import BASELINES, GENERAL, Builder, Field, Training, compete, competition, lead, write
from torch import Tensor, nn

from gradprox.networks import GradNetM, SigmoidOuterDerivative, SmoothedNorm

# Functions of the norm of four rows, because the potential depends on the distance of the two bodies.
NORMS: dict[str, Builder] = {
    "GradNet-M (norms of 4)": lambda dim, modules: GradNetM.dense(
        dim, 4, modules=modules, activation=SmoothedNorm, outer_derivative=SigmoidOuterDerivative
    )
}

# Step of the Runge-Kutta method of order 4 that computes the orbits of every field, the true one included.
STEP = 0.02
TIMES = (1.0, 5.0, 10.0)


def energy(x: Tensor) -> Tensor:
    """Return ``H = (|p1|^2 + |p2|^2)/2 - 1/|q1 - q2|`` of states ``(B, 8)``: ``q1, q2, p1, p2`` in the plane."""
    q1, q2, p1, p2 = x.split(2, dim=1)
    kinetic = (p1.square() + p2.square()).sum(dim=1) / 2
    return kinetic - 1 / torch.linalg.vector_norm(q1 - q2, dim=1)


def energy_gradient(x: Tensor) -> Tensor:
    """Return ``grad H``, ``(B, 8)``."""
    q1, q2, p1, p2 = x.split(2, dim=1)
    offset = q1 - q2
    pull = offset / torch.linalg.vector_norm(offset, dim=1, keepdim=True) ** 3
    return torch.cat([pull, -pull, p1, p2], dim=1)


def orbits(count: int, generator: torch.Generator) -> Tensor:
    """Draw states on nearly circular orbits around the center of mass, at distances of 0.8 to 1.6."""
    distance = 0.8 + 0.8 * torch.rand(count, 1, generator=generator)
    angle = 2 * math.pi * torch.rand(count, 1, generator=generator)
    along = torch.cat([angle.cos(), angle.sin()], dim=1)
    across = torch.cat([-angle.sin(), angle.cos()], dim=1)
    # On a circle of radius r/2, the force 1/r^2 belongs to the speed sqrt(1 / (2 r)).
    speed = (1 / (2 * distance)).sqrt()
    noise = 0.1 * torch.randn(count, 2, generator=generator)
    momentum = speed * ((1 + noise[:, :1]) * across + noise[:, 1:] * along)
    return torch.cat([distance / 2 * along, -distance / 2 * along, momentum, -momentum], dim=1)


def roll_out(field: Field, x: Tensor) -> Tensor:
    """Integrate ``q' = dH/dp, p' = -dH/dq`` up to the last of `TIMES`; return states ``(T + 1, B, 8)``."""

    def motion(x: Tensor) -> Tensor:
        dq, dp = field(x).split(4, dim=1)
        return torch.cat([dp, -dq], dim=1)

    states = [x]
    for _ in range(round(TIMES[-1] / STEP)):
        k1 = motion(x)
        k2 = motion(x + STEP / 2 * k1)
        k3 = motion(x + STEP / 2 * k2)
        k4 = motion(x + STEP * k3)
        x = x + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(x)
    return torch.stack(states)


def main() -> None:
    """Run the experiment."""
    parser = competition(__doc__, 640)
    options = parser.parse_args()
    starts = orbits(32, torch.Generator().manual_seed(99)).double()
    truth = roll_out(energy_gradient, starts)

    def follow(name: str, network: nn.Module, seed: int) -> dict[str, float]:  # noqa: ARG001
        with torch.no_grad():
            states = roll_out(network, starts)
            drift = (torch.stack([energy(x) for x in states]) - energy(starts)).abs() / energy(starts).abs()
        distances = (states - truth).square().sum(dim=2).sqrt()
        # Medians, because one orbit that escapes would dominate a mean.
        figures = {f"distance_at_{t:g}": float(distances[round(t / STEP)].median()) for t in TIMES}
        return figures | {"energy_drift": float(drift.amax(dim=0).median())}

    settings = Training(lbfgs_steps=options.steps)
    results = compete(
        NORMS | GENERAL | BASELINES,
        8,
        energy_gradient,
        orbits,
        settings,
        budget=options.budget,
        seeds=options.seeds,
        only=options.only,
        inspect=follow,
    )
    keys = [*(f"distance_at_{t:g}" for t in TIMES), "energy_drift"]
    print(f"\n{'median over 32 orbits':<28}" + "".join(f"{key:>17}" for key in keys))  # noqa: T201
    for name, result in results.items():
        print(f"{name:<28}" + "".join(f"{float(str(result[key])):>17.2e}" for key in keys))  # noqa: T201
    write(options.json, {"training": asdict(settings), "results": results} | lead(results))


if __name__ == "__main__":
    main()
