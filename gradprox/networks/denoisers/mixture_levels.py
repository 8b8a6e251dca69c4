r"""Levels of mixture classes: the passes up and down that turn log-likelihoods into posterior probabilities.

The module `mixture` holds the derivation. Each level has *classes*. A class is a distribution over the classes of the
level below or, at the lowest level, over the components. The pass up computes log-likelihoods of classes from those
below,

    q_lm(p) = c_l sum_d w_l(d) log sum_k P_lmk exp q_(l-1)k(p + d).

The pass down turns the posterior probabilities of the top level into those of the components.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import average, mirrored_table, mix
from gradprox.networks.denoisers.shrinkage import Window
from gradprox.networks.strips import cropped, joined, like_strips, strips_of

# Largest weight of a level divided by the number of taps of its window, as a logarithm. Training at strong noise would
# choose a larger weight, which gains a thousandth of a decibel and costs a digit in single precision.
LOG_EMPHASIS = 1.0
# Least probability of a component in a class. It keeps the most likely component of a position from being rounded away.
LEAST = 1e-12
# Smallest log-likelihood relative to the largest of a position; smaller ones are clamped. Clamping changes nothing even
# in double precision, because every class gives the largest at least the weight `LEAST`. It avoids exponentials
# that underflow, which are twenty times slower on a CPU.
# ``G`` stays convex, because the maximum of two convex nondecreasing functions is convex and nondecreasing.
LOG_NEGLIGIBLE = -64.0


class MixtureLevel(BaseModel):
    """The settings of one level of mixture classes.

    Attributes:
        classes: number of mirrored pairs of classes.
        window: side of the window over which log-likelihoods are averaged, odd.
        spacing: distance between the taps of the window, in coefficients.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: int = Field(ge=1, le=1024)
    window: Window = 5
    spacing: int = Field(default=1, ge=1, le=32)

    @property
    def radius(self) -> int:
        """Return how far the window extends from its center on each side, in coefficients."""
        return self.window // 2 * self.spacing

    @property
    def largest_log_weight(self) -> float:
        """Return the largest logarithm of the weight ``c_l``."""
        return LOG_EMPHASIS + 2 * math.log(self.window)


class LevelTables(NamedTuple):
    """The parameters of a level at given noise levels.

    Attributes:
        probabilities: ``P_l``, ``(S, M, N)``: row ``m`` is the distribution of class ``m`` over the components or
            classes below, and sums to 1.
        windows: ``w_l``, the same for all classes, ``(S, M, k, k)``.
        weight: ``c_l``, ``(S, 1, 1, 1)``.
        config: the settings of the level.
    """

    probabilities: Tensor
    windows: Tensor
    weight: Tensor
    config: MixtureLevel

    def averaged(self, x: Tensor) -> Tensor:
        """Average ``(B, M, h, w)`` over the windows; they are even, so averaging is its own adjoint."""
        return average(x, self.windows, spacing=self.config.spacing)

    def shared_out(self, votes: Tensor, relative: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield posterior probabilities below, in strips, from votes for the classes and the likelihoods below."""
        for part, likelihoods in zip(like_strips(votes, relative), relative, strict=True):
            yield mix(part, self.probabilities.mT) * likelihoods


class ClassLevel(nn.Module):
    """The parameters of one level of classes, at all knots of the noise level.

    Args:
        config: the settings of the level.
        below: number of mirrored pairs of components or classes below.
        knots: number of noise-level knots.
        generator: draws the first values.
    """

    def __init__(self, config: MixtureLevel, below: int, knots: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        # Initially, each class favors components of similar contrast.
        places = torch.linspace(0, 1, config.classes)[:, None] - torch.linspace(0, 1, below)
        logits = 0.5 * torch.randn(2, config.classes, below, generator=generator) - 4 * places.abs()
        self.probability_logits = nn.Parameter(logits.repeat(knots, 1, 1, 1))
        offsets = torch.arange(config.window) - config.window // 2
        gaussian = -4.5 * (offsets[:, None] ** 2 + offsets**2) / config.window**2
        self.window_logits = nn.Parameter(gaussian.repeat(knots, 1, 1))

    def at(self, coordinates: Tensor, weight: Tensor) -> LevelTables:
        """Return the parameters at noise levels with knot coordinates ``(S, J)``, and weight ``(S, 1, 1, 1)``."""
        logits = NoiseKnots.interpolate(self.probability_logits, coordinates)
        same, other = logits.unbind(dim=1)
        logits = mirrored_table(same, other, planes=1)
        # Numerator and denominator are scaled by 1 / LEAST, because exporters drop a summand of 1e-12.
        probabilities = (logits.softmax(dim=2) / LEAST + 1) / (1 / LEAST + logits.shape[2])
        return LevelTables(probabilities, self._windows(coordinates), weight, self.config)

    def _windows(self, coordinates: Tensor) -> Tensor:
        """Return the window that all classes share, ``(S, M, k, k)``: even in both directions, with sum 1."""
        logits = NoiseKnots.interpolate(self.window_logits, coordinates)
        logits = (logits + logits.flip(-1)) / 2
        logits = (logits + logits.flip(-2)) / 2
        windows = logits.flatten(1).softmax(dim=1).view_as(logits)
        return windows[:, None].expand(-1, 2 * self.config.classes, -1, -1)


class LevelLikelihoods(NamedTuple):
    """Results of the pass up through one level, kept for the pass down.

    Attributes:
        largest: the largest log-likelihood below, at each position, ``(B, 1, h, w)``.
        marginal: the likelihoods of the classes before averaging, divided by ``exp(largest)``, ``(B, M, h, w)``.
        relative: the likelihoods below, divided by the largest of them, ``(B, N, h', w')`` at the positions that the
            pass down needs, in strips.
    """

    largest: Tensor
    marginal: Tensor
    relative: list[Tensor]


def _itself(x: Tensor) -> Tensor:
    return x


def pass_up(
    below: Tensor,
    levels: Sequence[LevelTables],
    score: Callable[[Tensor], Tensor] = _itself,
    *,
    uniform: bool = False,
) -> tuple[list[LevelLikelihoods], Tensor]:
    """Compute the log-likelihoods of classes, level by level.

    At each level, the largest log-likelihood of each position is subtracted. Neither the posterior probabilities nor
    the sum of `log_marginal` depend on it, so it needs no derivative.

    Args:
        below: log-likelihoods of the components, ``(B, K, h, w)``, or maps from which ``score`` computes them.
        levels: the levels, from the lowest up.
        score: computes the log-likelihoods of the components, position by position.
        uniform: whether all positions have the same scores; then averaging over windows is skipped, and one position
            is enough.

    Returns:
        The results of each level, and the log-likelihoods of the top level, ``(B, M, h', w')``.
    """
    found: list[LevelLikelihoods] = []
    margin = 0 if uniform else sum(2 * level.config.radius for level in levels)
    for level in levels:
        largest, marginal, relative = [], [], []
        for strip in strips_of(below, level.probabilities.shape[2]):
            scores = score(strip)
            largest.append(scores.detach().amax(dim=1, keepdim=True))
            relative.append((scores - largest[-1]).clamp_min(LOG_NEGLIGIBLE).exp())
            marginal.append(mix(relative[-1], level.probabilities))
        found.append(LevelLikelihoods(joined(largest), joined(marginal), cropped(relative, margin)))
        logarithms = found[-1].marginal.log()
        below = (logarithms if uniform else level.averaged(logarithms)) * level.weight
        score = _itself
        margin -= 0 if uniform else 2 * level.config.radius
    return found, score(below)


def pass_down(
    probabilities: Tensor, found: Sequence[LevelLikelihoods], levels: Sequence[LevelTables]
) -> Iterator[Tensor]:
    """Return the posterior probabilities of the components, ``(B, K, h, w)``, in the strips of ``found[0].relative``.

    Args:
        probabilities: posterior probabilities of the classes of the top level, ``(B, M, h', w')``.
        found: the results of `pass_up`.
        levels: the levels, from the lowest up.
    """
    margin, strips = 0, iter([probabilities])
    for level, likelihoods in zip(reversed(levels), reversed(found), strict=True):
        margin += 2 * level.config.radius
        votes = level.averaged(joined(list(strips))) / crop(likelihoods.marginal, margin)
        strips = level.shared_out(votes, likelihoods.relative)
    return strips


def log_marginal(
    found: list[LevelLikelihoods],
    top: Tensor,
    levels: Sequence[LevelTables],
    weight: Tensor,
    *,
    uniform: bool = False,
) -> Tensor:
    """Return terms, ``(B, 1, h, w)``, whose sum is that of ``log sum_m exp(q_Lm + o_m) / (c_0 ... c_L)``.

    Each term adds the logarithm at the top and the log-likelihoods that `pass_up` subtracted.

    Args:
        found: the results of `pass_up`.
        top: log-likelihoods of the top level, plus its offsets.
        levels: the levels, from the lowest up.
        weight: ``c_0``, ``(S, 1, 1, 1)``.
        uniform: as in `pass_up`.
    """
    margin = 0 if uniform else sum(2 * level.config.radius for level in levels)
    product, subtracted = weight, []
    for level, likelihoods in zip(levels, found, strict=True):
        subtracted.append(crop(likelihoods.largest, margin) / product)
        margin -= 0 if uniform else level.config.radius
        product = product * level.weight
    total = crop(top, margin).logsumexp(dim=1, keepdim=True) / product
    return functools.reduce(torch.add, subtracted, total)
