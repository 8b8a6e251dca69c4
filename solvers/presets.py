"""Settings that work: which solver, which noise level the prior should assume, how strongly, from where, how long."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.admm import ADMM
from gradprox.solvers.drs import DRS
from gradprox.solvers.fista import FISTA
from gradprox.solvers.gd import GD
from gradprox.solvers.hqs import HQS
from gradprox.solvers.nmapg import NMAPG
from gradprox.solvers.pgd import PGD
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Callback, Solver, Step


class Task(str, Enum):
    """What is to be undone."""

    DEBLUR = "deblur"
    COMPRESSED_SENSING = "cs"


# Those of f + lambda R, with a free weight, and those of tau f + phi, whose weight is tied to the step size.
EXPLICIT: dict[str, type[HQS | GD | NMAPG]] = {"hqs": HQS, "gd": GD, "nmapg": NMAPG}
PROXIMAL: dict[str, type[Solver[Any]]] = {"fista": FISTA, "pgd": PGD, "admm": ADMM, "drs": DRS}
SOLVERS: tuple[str, ...] = ("hqs", "fista", "nmapg", "pgd", "admm", "drs", "gd")
# Where much was lost the budget is part of the prior: at low noise levels a longer descent fits patterns into what no
# measurement sees, and the objective falls on while the image gets worse.
STEPS = {
    Task.DEBLUR: {"hqs": 4, "fista": 10, "nmapg": 8, "pgd": 20, "admm": 20, "drs": 20, "gd": 20},
    Task.COMPRESSED_SENSING: {
        "hqs": 12, "fista": 12, "nmapg": 12, "pgd": 20, "admm": 20, "drs": 20, "gd": 20,
    },
}  # fmt: skip
DEFAULT_SOLVER = {Task.DEBLUR: "hqs", Task.COMPRESSED_SENSING: "fista"}

# Below half a gray level of 255 noise is less than what rounding to 8 bits leaves.
LEAST_NOISE = 0.5 / 255
# A warm start begins at the noise level of an image that is hardly recognisable.
WARM_START = 50 / 255


@dataclass(frozen=True)
class Preset:
    """A solver, and the solvers that bring it a start.

    The learned objectives are not convex, so the start matters: each solver of the warm start works at a lower noise
    level than the one before (continuation). Each of them descends its own objective; only the last one's is the
    result's, and its certificate begins where the warm start ends.

    Attributes:
        solver: the algorithm that gives the result.
        warm_start: the ones before it, in order.
    """

    solver: Solver[Any]
    warm_start: tuple[Solver[Any], ...]

    @property
    def max_iter(self) -> int:
        """Return the step budget of all together."""
        return self.solver.max_iter + sum(stage.max_iter for stage in self.warm_start)

    def __call__(
        self, y: Tensor, physics: LinearPhysics, prior: LearnedProx, *, callback: Callback | None = None
    ) -> Result:
        """Reconstruct; see `Solver.__call__`.

        Returns:
            The last solver's result, but with the steps and the objective increases of all together.
        """
        x, done, results = None, 0, []
        for stage in (*self.warm_start, self.solver):
            results.append(stage(y, physics, prior, x0=x, callback=_shifted(callback, done)))
            x, done = results[-1].x, done + int(results[-1].steps.max())
        return dataclasses.replace(
            results[-1],
            steps=torch.stack([result.steps for result in results]).sum(dim=0),
            objective_increases=torch.stack([result.objective_increases for result in results]).sum(dim=0),
        )


def preset(
    task: Task,
    noise: float,
    *,
    solver: str | None = None,
    strength: float = 1.0,
    max_iter: int | None = None,
    tol: float | None = None,
    lipschitz: float | None = None,
) -> Preset:
    """Return settings chosen on natural images, for measurements with noise ``noise``.

    Args:
        task: the problem.
        noise: standard deviation of the measurement noise, on the scale of images in ``[0, 1]``.
        solver: one of `SOLVERS`; the task's `DEFAULT_SOLVER` if not given.
        strength: 1 is the preset; more is smoother. For HQS, NMAPG and GD it multiplies ``lambda``, the weight of
            the prior; for PGD, FISTA, ADMM and DRS, whose weight is tied to their step size, the noise level the
            prior assumes.
        max_iter: step budget after the warm start; the preset's if not given.
        tol: tolerance on the relative change; the preset's if not given.
        lipschitz: upper bound of ``|A|^2``, needed only for a physics whose norm gradprox does not know.

    Raises:
        InputError: an unknown solver, a negative noise level, a strength that is not positive.
    """
    name = DEFAULT_SOLVER[task] if solver is None else solver
    if name not in SOLVERS:
        raise InputError(f"solver {name}: unknown; choose one of {', '.join(SOLVERS)}")
    if not 0 <= noise < float("inf"):
        raise InputError(f"the noise level must be finite and not negative, got {noise:g}")
    if not 0 < strength < float("inf"):
        raise InputError(f"the strength must be positive, got {strength:g}")
    level = max(noise, LEAST_NOISE)
    common: dict[str, Any] = {
        "max_iter": STEPS[task][name] if max_iter is None else max_iter,
        "tol": 3e-4 if tol is None else tol,
        "lipschitz": lipschitz,
    }
    if task is Task.DEBLUR:
        # At the noise level itself a prior smooths too much what the blur has left.
        explicit = proximal = 0.7 * level
        warm_start: tuple[Solver[Any], ...] = tuple(
            _hqs(sigma, level, strength, 1) for sigma in _falling(WARM_START, explicit, 16)
        )
    else:
        explicit, proximal = max(4 * level, 6 / 255), max(1.1 * level, 2 / 255)
        warm_start = tuple(
            FISTA(sigma=sigma * strength, max_iter=16 if number == 0 else 4, lipschitz=lipschitz)
            for number, sigma in enumerate(_falling(WARM_START, proximal, 18))
        )
    final: Solver[Any]
    if name in EXPLICIT:
        weight = _hqs(explicit, level, strength, 1).lambda_reg
        if name == "nmapg":
            common["memory"] = (
                0.0  # whoever chooses by name is promised that the objective itself never rises
            )
        final = EXPLICIT[name](sigma=explicit, lambda_reg=weight, **common)
    else:
        final = PROXIMAL[name](sigma=proximal * strength, **common)
    return Preset(final, warm_start)


def _hqs(sigma: float, noise: float, strength: float, steps: int) -> HQS:
    """Balance data and prior as Bayes' rule would, up to a factor: ``lambda = 0.45 (noise / sigma)^2``."""
    return HQS(sigma=sigma, lambda_reg=0.45 * strength * (noise / sigma) ** 2, max_iter=steps)


def _falling(first: float, end: float, count: int) -> list[float]:
    """Return ``count`` levels that fall geometrically from ``first`` to just above ``end``; none if it is higher."""
    if end >= first:
        return []
    return [first * (end / first) ** (i / count) for i in range(count)]


def _shifted(callback: Callback | None, done: int) -> Callback | None:
    if callback is None or done == 0:
        return callback
    return lambda step: callback(Step(step.number + done, step.active, step.state, step.residual))
