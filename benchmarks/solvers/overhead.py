"""Measure the overhead of the driver: processor time per iteration, compared with a hand-written loop and deepinv.

    python benchmarks/solvers/overhead.py --side 256 --json overhead.json

The algorithm is proximal gradient descent on a circular blur. The hand-written loop knows ``A^T y`` in advance and
computes only the next image. The loop of gradprox also computes the exact objective, the residual and the status of
each image. With the identity as the model, only the loops are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import typer
from rivals import plug_and_play
from torch import Tensor

from gradprox import load_model
from gradprox.batch import image_sum
from gradprox.files import write_json
from gradprox.networks import GradientNetwork
from gradprox.physics import CircularBlur, motion_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import PGD

SIGMA = 0.03
Loop = Callable[[int], object]


class Identity(GradientNetwork):
    """``D(x) = x``."""

    monotone = True
    channels = None

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:  # noqa: ARG002
        """See `GradientNetwork.forward`."""
        return x

    def potential(self, x: Tensor, sigma: Tensor) -> Tensor:  # noqa: ARG002
        """See `GradientNetwork.potential`."""
        return image_sum(x * x) / 2

    def lipschitz_bound(self) -> float:
        """See `GradientNetwork.lipschitz_bound`."""
        return 1.0

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Return zero and ``x``."""
        return torch.zeros(x.shape[0], dtype=torch.float64), x


def loops(prior: LearnedProx, side: int) -> dict[str, Loop]:
    """Return the three loops as functions of the number of iterations."""
    physics = CircularBlur(motion_kernel(9, 30), (side, side))
    y = physics.A(torch.rand(1, 1, side, side))

    def by_hand(steps: int) -> Tensor:
        start, x = physics.A_adjoint(y), y
        for _ in range(steps):
            x = prior(x - (physics.A_adjoint(physics.A(x)) - start), SIGMA)
        return x

    def ours(steps: int) -> object:
        return PGD(sigma=SIGMA, stepsize=1.0, max_iter=steps, tol=0)(y, physics, prior)

    def deepinvs(steps: int) -> object:
        return plug_and_play(prior, SIGMA, steps, y, physics)

    return {"by hand": by_hand, "gradprox": ours, "deepinv": deepinvs}


def milliseconds(loop: Loop, steps: int) -> float:
    """Return the milliseconds per iteration of a run of ``steps``, including its start."""
    began = time.process_time()
    loop(steps)
    return (time.process_time() - began) / steps * 1e3


@torch.no_grad()
def main() -> None:
    """Measure, print a table, and write JSON if a path is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=256, help="pixels a side of the image")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    priors = {"identity": (LearnedProx(Identity()), 40, 40), "gray-fast": (load_model("gray-fast"), 4, 4)}
    figures: dict[str, dict[str, float]] = {}
    for name, (prior, steps, repeats) in priors.items():
        contestants = loops(prior, arguments.side)
        # The loops take turns and the best time counts, because other work of the machine only adds time.
        turns = [
            {label: milliseconds(loop, steps) for label, loop in contestants.items()} for _ in range(repeats)
        ]
        figures[name] = {label: min(turn[label] for turn in turns) for label in contestants}
        for label in contestants:
            ratio = figures[name][label] / figures[name]["by hand"]
            figures[name][f"{label}, relative"] = ratio
            typer.echo(
                f"{name:<10}{label:<12}{figures[name][label]:9.3f} ms an iteration, {ratio:5.2f} times by hand"
            )
    if arguments.json:
        write_json(arguments.json, {"side": arguments.side, "milliseconds": figures})


if __name__ == "__main__":
    main()
