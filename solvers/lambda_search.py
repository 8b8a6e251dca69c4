r"""Choose the weight of the regularizer from the noise level, or from a reference image.

The misfit ``|A x - y|^2`` of a good reconstruction equals that of the noise alone, ``n noise^2`` for ``n``
measurements. A smaller misfit means that the reconstruction fits noise; a larger one, that it is too smooth. The
discrepancy principle (Morozov, Soviet Math. Dokl. 1966) takes the weight at which the two agree. The misfit grows with
the weight, so a bracketing search finds it.

The searched number may be ``lambda_reg`` itself, or the ``strength`` of a preset, which multiplies it.
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
from gradprox.solvers.settings import check_count, check_positive

MAX_TRIALS = 8
# Misfits below this part of the noise's count as this part: their logarithm stays finite.
LEAST_MISFIT = 1e-12

# A reconstruction as a function of the weight: ``lambda w: HQS(sigma=0.03, lambda_reg=w)(y, physics, prior)``.
Reconstruction = Callable[[float], Result]


@dataclass(frozen=True)
class LambdaChoice:
    """The chosen weight of the regularizer, and the other weights that were tried.

    Attributes:
        lambda_reg: the chosen weight.
        result: the reconstruction with this weight.
        tried: score of each weight: the misfit in units of ``n noise^2`` (`choose_lambda`), or the PSNR in dB
            (`best_lambda`).
        at_limit: whether the choice is an end of the searched range, so that a better weight may lie outside.
    """

    lambda_reg: float
    result: Result
    tried: dict[float, float]
    at_limit: bool


def choose_lambda(
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
) -> LambdaChoice:
    """Choose one weight for the whole batch by the discrepancy principle.

    Args:
        reconstruct: reconstructs ``y`` with a given weight.
        y: measurements, batch first.
        physics: the operator that made them.
        noise: standard deviation of the measurement noise.
        target: the misfit to reach, in units of ``n noise^2``. Every reconstruction fits some of the noise, so the
            target of least error lies slightly below 1.
        low: smallest weight.
        high: largest weight.
        tol: accepted relative distance of the misfit from the target.
        max_trials: largest number of reconstructions, at least 2: both ends of the range are tried first.

    Raises:
        InputError: the noise level or the target is not positive, the range is empty, or there are too few trials.
    """
    if not 0 < noise < float("inf"):
        raise InputError(
            f"the noise level must be positive to choose the weight of the regularizer from it, got {noise:g}: give "
            "the weight instead"
        )
    if not 0 < low < high < float("inf"):
        raise InputError(f"weights are searched between two positive numbers, got {low:g} and {high:g}")
    check_positive("target", target)
    check_count("max_trials", max_trials)
    if max_trials < 2:
        raise InputError("max_trials must be at least 2: both ends of the range are tried first")
    expected = noise**2 * y.numel()
    results: dict[float, Result] = {}
    misfits: dict[float, float] = {}

    def distance(weight: float) -> float:
        """Return the logarithm of the misfit over the target."""
        return math.log(max(misfits[weight], LEAST_MISFIT) / target)

    def reconstruct_with(weight: float) -> float:
        results[weight] = reconstruct(weight)
        with torch.no_grad():
            misfits[weight] = float(image_sum((physics.A(results[weight].x) - y).square()).sum()) / expected
        return distance(weight)

    def choice(weight: float, *, at_limit: bool = False) -> LambdaChoice:
        return LambdaChoice(weight, results[weight], misfits, at_limit)

    below, above = low, high
    distance_below, distance_above = reconstruct_with(low), reconstruct_with(high)
    if distance_below >= 0:
        return choice(low, at_limit=distance_below > tol)
    if distance_above <= 0:
        return choice(high, at_limit=distance_above < -tol)
    for _ in range(max_trials - 2):
        # The secant rule in logarithms. Its point is kept away from the ends, so that the bracket shrinks.
        part = min(max(distance_below / (distance_below - distance_above), 0.15), 0.85)
        weight = below * (above / below) ** part
        found = reconstruct_with(weight)
        if abs(found) <= tol:
            break
        if found < 0:
            below, distance_below = weight, found
        else:
            above, distance_above = weight, found
    return choice(min(misfits, key=lambda weight: abs(distance(weight))))


def best_lambda(reconstruct: Reconstruction, reference: Tensor, weights: Sequence[float]) -> LambdaChoice:
    """Choose the weight with the highest mean PSNR against a reference, to tune on known images.

    Args:
        reconstruct: reconstructs with a given weight.
        reference: the true images ``(B, C, H, W)``, on the scale ``[0, 1]``.
        weights: the weights to try.

    Raises:
        InputError: ``weights`` is empty.
    """
    if not weights:
        raise InputError("weights: give at least one to try")
    results = {weight: reconstruct(weight) for weight in weights}
    psnr = {weight: _mean_psnr(result.x, reference) for weight, result in results.items()}
    best = max(psnr, key=lambda weight: psnr[weight])
    return LambdaChoice(best, results[best], psnr, best in (min(weights), max(weights)))


def _mean_psnr(x: Tensor, reference: Tensor) -> float:
    mean_square = image_sum((x - reference).square()) / reference[0].numel()
    return float((-10 * mean_square.clamp_min(1e-20).log10()).mean())
