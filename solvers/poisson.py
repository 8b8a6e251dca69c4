r"""The Poisson likelihood as a data term, with its domain.

A detector counts ``y ~ Poisson(t)``, ``t = u/gain + bkg``, for the intensity ``u = A x``. The negative log-likelihood,
up to a constant, is the sum of ``t - y log t`` over the pixels. It is finite for ``t > 0``, and at ``t = 0`` where ``y
= 0``; beyond, it is infinite: a negative intensity has no likelihood. A pixel of zero counts contributes ``t``, which
falls towards the border of the domain, so the border matters for every dark image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from deepinv.optim.distance import PoissonLikelihoodDistance
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.errors import InputError
from gradprox.solvers.data_term import Box
from gradprox.solvers.distance_term import DistanceTerm
from gradprox.solvers.rounding import norm, operator_factor

# A transform leaves values of this size, in units of eps and relative to the largest, where the intensity is 0.
ZERO = 32.0


class PoissonLikelihood(PoissonLikelihoodDistance):
    """The negative log-likelihood ``t - y log t``, ``t = u/gain + bkg``, with its derivative and prox.

    deepinv's own value adds up the images of a batch and is NaN for zero counts without a background, its gradient is
    ``gain^2`` times too large, and its prox is that of another function (deepinv 0.5).
    """

    def fn(self, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        """Return the value, ``(B,)``; infinite outside the domain."""
        t, counts = self.rates_and_counts(x, y)
        inside = (t > 0) | ((t == 0) & (counts == 0))
        safe = torch.where(inside, t, 1.0)
        value = image_sum(safe - counts - torch.xlogy(counts, safe))
        return torch.where(inside.flatten(1).all(dim=1), value, torch.inf)

    def grad(self, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        """Return the derivative ``(1 - y/t)/gain``; ``1/gain`` for zero counts."""
        t, counts = self.rates_and_counts(x, y)
        return (1 - torch.where(counts == 0, 0, counts / t)) / self.gain

    def prox(self, x: Tensor, y: Tensor, *_: object, gamma: float = 1.0, **__: object) -> Tensor:
        """Return ``argmin_u gamma d(u, y) + |u - x|^2/2``: the nonnegative root ``t`` of a quadratic equation."""
        counts = self.rates_and_counts(x, y)[1]
        square = self.gain**2
        half = (gamma - square * self.bkg - self.gain * x) / 2
        t = ((half.square() + square * gamma * counts).sqrt() - half) / square
        return self.gain * (t - self.bkg)

    def rates_and_counts(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``t`` and the counts. Rates below 0 by no more than rounding are 0."""
        t = without_rounding_below_zero(x / self.gain + self.bkg)
        return t, y / self.gain if self.denormalize else y


def without_rounding_below_zero(values: Tensor) -> Tensor:
    """Return the values with 0 in the place of those that are negative by no more than a transform's rounding."""
    largest = values.abs().flatten(1).amax(dim=1)
    rounding = per_image(ZERO * torch.finfo(values.dtype).eps * largest, values)
    return torch.where(values >= -rounding, values.clamp_min(0), values)


def nonnegative_counts(y: Tensor) -> Tensor:
    """Return the counts, with 0 in the place of rounding errors below 0.

    Raises:
        InputError: there are negative counts, for which the likelihood is not bounded from below.
    """
    counts = without_rounding_below_zero(y)
    if bool((counts < 0).any()):
        raise InputError(f"y: Poisson counts must not be negative, got {float(counts.min()):g}")
    return counts


@dataclass(frozen=True)
class PoissonTerm(DistanceTerm):
    """The Poisson likelihood of ``A x``.

    Attributes:
        distance: the likelihood.
    """

    distance: PoissonLikelihood

    @property
    def box(self) -> Box:
        """Return the nonnegative pixels: an image of intensities. An ``A`` without negative entries keeps them so."""
        return (0.0, float("inf"))

    def start_inside(self, x: Tensor) -> Tensor:
        """See `DataTerm.start_inside`: half of the mean intensity is mixed in where counts meet no intensity."""
        x = x.clamp(*self.box)
        level = self.distance.rates_and_counts(self.y, self.y)[1].flatten(1).mean(dim=1) * self.distance.gain
        outside = torch.isinf(self.value(x))
        return torch.where(per_image(outside, x), (x + per_image(level, x)) / 2, x)

    def rounding(self, x: Tensor, value: Tensor) -> Tensor:
        """See `DataTerm.rounding`; the value is a difference of terms that may be much larger."""
        u = self.physics.A(x)
        t, counts = self.distance.rates_and_counts(u, self.y)
        terms = image_sum(
            t.abs() + counts + torch.xlogy(counts, t.clamp_min(torch.finfo(t.dtype).tiny)).abs()
        )
        slope = norm(self.distance.grad(u, self.y)).to(value)
        shift = operator_factor(x) * norm(u).to(value)
        return slope * shift + torch.finfo(x.dtype).eps * terms
