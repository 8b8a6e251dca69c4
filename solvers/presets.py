"""Settings that work: which noise level the prior should assume, how strongly, for how long."""

from __future__ import annotations

from enum import Enum
from typing import Any

from gradprox.errors import InputError
from gradprox.solvers.gd import GD
from gradprox.solvers.pgd import PGD
from gradprox.solvers.solver import Solver


class Task(str, Enum):
    """What is to be undone."""

    DEBLUR = "deblur"
    COMPRESSED_SENSING = "cs"


SOLVERS: tuple[str, ...] = ("pgd", "gd")


def preset(
    solver: str,
    task: Task,
    noise: float,
    *,
    strength: float = 1.0,
    max_steps: int | None = None,
    tol: float | None = None,
) -> Solver[Any]:
    """Return a solver with settings chosen on natural pictures, for measurements with noise ``noise``.

    Args:
        solver: ``"pgd"`` or ``"gd"``.
        task: the problem.
        noise: standard deviation of the measurement noise, on the scale of pictures in ``[0, 1]``.
        strength: 1 is the preset; more is smoother. PGD multiplies the prior's noise level by it, as its weight
            is tied to its step size; GD multiplies the weight ``lambda``.
        max_steps: step budget; the preset's if not given.
        tol: tolerance on the relative change; the preset's if not given.

    Raises:
        InputError: an unknown solver, a negative noise level, a strength that is not positive.
    """
    if solver not in SOLVERS:
        raise InputError(f"--solver {solver}: unknown; choose one of {', '.join(SOLVERS)}")
    if not 0 <= noise < float("inf"):
        raise InputError(f"the noise level must be finite and not negative, got {noise:g}")
    if not 0 < strength < float("inf"):
        raise InputError(f"the strength must be positive, got {strength:g}")
    steps = 300 if max_steps is None else max_steps
    tolerance = 1e-4 if tol is None else tol
    sigma = 2 * noise + 2 / 255
    if solver == "gd":
        return GD(sigma=sigma, strength=0.5 * strength, max_steps=steps, tol=tolerance)
    return PGD(sigma=sigma * strength, max_steps=steps, tol=tolerance)
