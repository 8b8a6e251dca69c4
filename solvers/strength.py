r"""Choosing the strength of the prior: from the noise level, or from a reference.

A reconstruction whose misfit ``|A x - y|^2`` is below what the noise alone would leave, ``n noise^2`` for ``n``
measurements, fits noise; one far above it is too smooth. The discrepancy principle (Morozov, Soviet Math. Dokl. 1966)
takes the strength at which the two agree. The misfit grows with the strength, so a bisection finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.solvers.result import Result

MAX_TRIALS = 8

# A reconstruction as a function of the strength, as ``lambda s: preset(task, noise, strength=s)(y, physics, prior)``.
Reconstruction = Callable[[float], Result]


@dataclass(frozen=True)
class Choice:
    """A strength, and what was tried on the way.

    Attributes:
        strength: the one chosen.
        result: the reconstruction with it.
        tried: figure of merit by strength: the misfit in units of ``n noise^2``, or the PSNR in dB.
        at_limit: whether the best strength is at an end of the range, so that a better one may lie outside.
    """

    strength: float
    result: Result
    tried: dict[float, float]
    at_limit: bool


def choose_strength(
    reconstruct: Reconstruction,
    y: Tensor,
    physics: LinearPhysics,
    noise: float,
    *,
    target: float = 1.0,
    low: float = 0.1,
    high: float = 10.0,
    tol: float = 0.02,
    max_trials: int = MAX_TRIALS,
) -> Choice:
    """Choose the strength by the discrepancy principle, one for the whole batch.

    Args:
        reconstruct: a reconstruction of ``y`` as a function of the strength.
        y: measurements.
        physics: the operator that made them.
        noise: standard deviation of the measurement noise.
        target: the misfit to reach, in units of ``n noise^2``. A reconstruction fits a part of the noise in any case,
            so the one closest to the truth lies somewhat below 1.
        low: least strength.
        high: greatest strength.
        tol: on the misfit, relative to the target.
        max_trials: how many reconstructions may be made.

    Raises:
        InputError: the noise level is not positive, or the range is empty.
    """
    if not 0 < noise < float("inf"):
        raise InputError(
            f"a strength can only be chosen from a positive noise level, got {noise:g}: give the strength instead"
        )
    if not 0 < low < high < float("inf"):
        raise InputError(f"strengths are searched between two positive numbers, got {low:g} and {high:g}")
    expected = noise**2 * y.numel()
    results: dict[float, Result] = {}
    misfits: dict[float, float] = {}

    def excess(strength: float) -> float:
        """Return the logarithm of the misfit over the target."""
        results[strength] = reconstruct(strength)
        with torch.no_grad():
            misfit = float(image_sum((physics.A(results[strength].x) - y).square()).sum())
        misfits[strength] = misfit / expected
        return math.log(max(misfit / expected, 1e-12) / target)

    def choice(strength: float, *, at_limit: bool = False) -> Choice:
        return Choice(strength, results[strength], misfits, at_limit)

    below, above = low, high
    excess_below, excess_above = excess(low), excess(high)
    if excess_below >= 0:
        return choice(low, at_limit=excess_below > tol)
    if excess_above <= 0:
        return choice(high, at_limit=excess_above < -tol)
    for _ in range(max_trials - 2):
        # The secant in logarithms, kept away from the ends so that the bracket shrinks.
        part = min(max(excess_below / (excess_below - excess_above), 0.15), 0.85)
        strength = below * (above / below) ** part
        found = excess(strength)
        if abs(found) <= tol:
            break
        if found < 0:
            below, excess_below = strength, found
        else:
            above, excess_above = strength, found
    return choice(min(misfits, key=lambda strength: abs(math.log(max(misfits[strength], 1e-12) / target))))


def best_strength(reconstruct: Reconstruction, reference: Tensor, strengths: Sequence[float]) -> Choice:
    """Choose the strength with the highest mean PSNR against a reference: for tuning on known images.

    Args:
        reconstruct: a reconstruction as a function of the strength.
        reference: the true images ``(B, C, H, W)``, on the scale ``[0, 1]``.
        strengths: which to try.

    Raises:
        InputError: there are none to try.
    """
    if not strengths:
        raise InputError("give at least one strength to try")
    results = {strength: reconstruct(strength) for strength in strengths}
    psnr = {strength: _mean_psnr(result.x, reference) for strength, result in results.items()}
    best = max(psnr, key=lambda strength: psnr[strength])
    return Choice(best, results[best], psnr, best in (min(strengths), max(strengths)))


def _mean_psnr(x: Tensor, reference: Tensor) -> float:
    mean_square = image_sum((x - reference).square()) / reference[0].numel()
    return float((-10 * mean_square.clamp_min(1e-20).log10()).mean())
