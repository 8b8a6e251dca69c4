"""How the settings of a prior follow from the noise of the measurements: for presets and for exported solvers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradprox.scales import LARGEST_NOISE

# Rounding to 8 bits leaves an error of about half a gray level, so a smaller noise level is raised to this one.
LEAST_NOISE = 0.5 / 255
# Weight of the regularizer divided by its value in Bayes' rule, (noise / sigma)^2; tuned on natural images.
BALANCE = 0.45


@dataclass(frozen=True)
class NoiseRule:
    """The noise level ``sigma`` that a prior assumes, and the weight of its regularizer, as functions of the noise.

    All levels are standard deviations on the scale of images in ``[0, 1]``.

    Attributes:
        factor: ``sigma`` divided by the noise.
        least_sigma: the smallest ``sigma``.
        least_noise: smaller noise is raised to this level.
        balance: weight of the regularizer divided by ``(noise / sigma)^2``.

    Raises:
        ValueError: an attribute is no number, is not finite, or has an illegal sign.

    Example:
        >>> rule = NoiseRule(0.7)
        >>> round(rule.sigma(0.01), 6), round(rule.lambda_reg(0.01, sigma=0.02), 4)
        (0.007, 0.1125)
    """

    factor: float
    least_sigma: float = 0.0
    least_noise: float = LEAST_NOISE
    balance: float = BALANCE

    def __post_init__(self) -> None:
        positive = (self.factor, self.least_noise, self.balance)
        if not (all(0 < value < math.inf for value in positive) and 0 <= self.least_sigma < math.inf):
            raise ValueError(f"not a rule: {self}")

    def level(self, noise: float) -> float:
        """Return the noise, raised to `least_noise`."""
        return max(noise, self.least_noise)

    def sigma(self, noise: float) -> float:
        """Return the noise level that the prior assumes, at most that of white."""
        return min(max(self.factor * self.level(noise), self.least_sigma), LARGEST_NOISE)

    def lambda_reg(self, noise: float, sigma: float) -> float:
        """Return the weight of the regularizer of a prior that assumes ``sigma``: Bayes' rule, up to a factor."""
        return self.balance * (self.level(noise) / sigma) ** 2
