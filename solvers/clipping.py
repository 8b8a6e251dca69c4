r"""Weighted and clipped measurements: least squares that know how exact each measurement is.

**Weights.** Where the noise depends on the signal, as in photos, the most likely image minimizes the squares of the
residuals divided by their variances. So each measurement has a weight ``w_i``, a common factor divided by its variance.

**Clipping.** An inequality takes the place of an equation.

A sensor stores everything above white as white, and everything below black as black. So a white measurement ``y_i``
says only that ``(A x)_i >= y_i``, and a black one that ``(A x)_i <= y_i``. The data term counts violations only:

    f(x) = sum_i w_i ((A x)_i - v_i(x))^2 / 2,
    v_i = max((A x)_i, y_i) at white, min((A x)_i, y_i) at black, y_i elsewhere.

Taken as an equation instead, a lamp that is brighter than white contradicts its blurred surroundings, and rings.

**Smooth and convex.** Each term is a multiple of the squared distance of ``(A x)_i`` to an interval. So ``grad f(x) =
A^T W (A x - v(x))`` with ``W = diag(w)``, and its Lipschitz constant is at most ``max_i w_i |A|^2``.

**Fits.** HQS lowers ``f + weight |. - z|^2/2``. Where ``v(x) = y``, ``f`` is a quadratic function of ``A x``, and it is
constant in the other measurements. So a Newton step solves a least-squares problem without the others, by conjugate
gradients. It reaches the minimum as soon as these measurements stay the same (semismooth Newton). It may fail to
descend where they change. Then a safe step replaces it: ``v(x')`` lies in the intervals for every ``x'``, so ``f(x) <=
sum_i w_i ((A x)_i - v_i(x'))^2 / 2``, with equality at ``x = x'``. The least-squares term with the measurements
``v(x')`` *majorizes* ``f`` (Hunter and Lange, Am. Stat. 2004). A fit of it that starts at ``x'`` lowers the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from deepinv.optim import DataFidelity
from deepinv.optim.distance import Distance
from torch import Tensor

from gradprox.batch import image_dot, per_image
from gradprox.errors import InputError
from gradprox.solvers.data_term import FittedDataTerm
from gradprox.solvers.distance_term import DistanceTerm
from gradprox.solvers.least_squares import solved
from gradprox.solvers.rounding import norm, operator_factor, square_rounding
from gradprox.solvers.scalar import Scalar
from gradprox.solvers.settings import number

# The most Newton steps of a fit.
NEWTON_STEPS = 3
# A clipped measurement that is met up to this difference counts as an equation. Within areas of white, those of the
# first image are met up to rounding, which must not decide the steps.
MET = 1e-5


class ClippedDistance(Distance):
    """The weighted squared distance of ``u`` to the values that clipping may have made ``y``, halved.

    Args:
        low: the level of black. Measurements at or below it were clipped.
        high: the level of white. Measurements at or above it were clipped.
        weights: positive and finite, of a shape that extends to that of ``y``; 1 if not given.

    Raises:
        InputError: ``low`` is not below ``high``, or a weight is not positive and finite.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0, weights: Tensor | None = None) -> None:
        if not number("low", low) < number("high", high):
            raise InputError(f"black, {low:g}, must be below white, {high:g}")
        super().__init__()
        weights = torch.ones(()) if weights is None else weights
        if not bool(((weights > 0) & weights.isfinite()).all()):
            raise InputError("the weights of measurements must be positive and finite")
        self.low, self.high, self.weights = low, high, weights
        # A number, because the graph of an exported solver cannot decide by the values of a tensor.
        self.largest_weight = float(weights.max())

    def select(self, keep: Tensor) -> ClippedDistance:
        """Return the distance of the images at the indices ``keep``."""
        each = self.weights.ndim > 0 and self.weights.shape[0] > 1
        return ClippedDistance(self.low, self.high, self.weights[keep] if each else self.weights)

    def clipped(self, y: Tensor) -> Tensor:
        """Return which measurements were clipped, in the shape of ``y``."""
        return (y <= self.low) | (y >= self.high)

    def nearest(self, u: Tensor, y: Tensor) -> Tensor:
        """Return ``v``, the nearest values to ``u`` that may have been stored as ``y``."""
        inside = torch.where(y >= self.high, torch.maximum(u, y), y)
        return torch.where(y <= self.low, torch.minimum(u, y), inside)

    def fn(self, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        """Return the value at ``u = x``, ``(B,)``."""
        off = x - self.nearest(x, y)
        return image_dot(self.weights.to(x) * off, off) / 2

    def grad(self, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        """Return the derivative at ``u = x``."""
        return self.weights.to(x) * (x - self.nearest(x, y))

    def prox(self, x: Tensor, y: Tensor, *_: object, gamma: float = 1.0, **__: object) -> Tensor:
        """Return ``argmin_u gamma d(u, y) + |u - x|^2/2``: a share of the way to the nearest value."""
        return x - gamma / (1 + gamma * self.weights.to(x)) * self.grad(x, y)


class ClippedL2(DataFidelity):
    """Least squares for clipped measurements, a data term for HQS, NMAPG and `PrimalDual`; see the module's head.

    Args:
        low: the level of black; minus infinity if nothing was clipped.
        high: the level of white; infinity if nothing was clipped.
        weights: of the measurements, positive and finite; their shape extends to that of ``y``. 1 if not given.

    Raises:
        InputError: ``low`` is not below ``high``, or a weight is not positive and finite.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> from gradprox.solvers import HQS
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(1.5 * torch.rand(1, 1, 24, 20)).clamp(0, 1)
        >>> solver = HQS(sigma=0.05, lambda_reg=0.1, max_iter=5)
        >>> result = solver(y, physics, load_model("gray-fast"), fidelity=ClippedL2())
        >>> int(result.objective_increases[0])
        0
    """

    def __init__(self, low: float = 0.0, high: float = 1.0, weights: Tensor | None = None) -> None:
        super().__init__()
        self.d = ClippedDistance(low, high, weights)


class WeightedL2(ClippedL2):
    """Weighted least squares, ``sum_i w_i ((A x)_i - y_i)^2 / 2``, a data term for HQS, NMAPG and `PrimalDual`.

    Args:
        weights: ``w``, positive and finite; their shape extends to that of ``y``.

    Raises:
        InputError: a weight is not positive and finite.

    Example:
        >>> import torch
        >>> from gradprox.noise import SignalNoise, weighted_noise
        >>> found = weighted_noise(torch.tensor([0.0, 0.5, 1.0]), SignalNoise(gain=0.01, read=0.1))
        >>> WeightedL2(found.weights).d.weights
        tensor([1.5000, 1.0000, 0.7500])
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__(-math.inf, math.inf, weights)


@dataclass(frozen=True)
class ClippedTerm(DistanceTerm, FittedDataTerm):
    """The data term ``f`` of this module.

    Attributes:
        distance: of measurements.
    """

    distance: ClippedDistance

    def rounding(self, x: Tensor, value: Tensor) -> Tensor:
        """See `DataTerm.rounding`: the distance to an interval has the error of ``A x``."""
        largest = math.sqrt(self.distance.largest_weight)
        shift = largest * operator_factor(x) * (norm(self.physics.A(x)) + norm(self.y)).to(value)
        return square_rounding(value, (2 * value).sqrt(), shift, x)

    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:
        """See `FittedDataTerm.fit`: Newton steps, each replaced by a fit of the majorizer where it does not descend."""
        x, u, before = start, self.physics.A(start), None
        for _ in range(NEWTON_STEPS):
            counted = self.counted(u)
            if before is not None and bool((counted == before).all()):
                break
            before, value = counted, self.fit_value(u, x - z, weight)
            del u  # memory for large photos
            new = self._newton(z, weight, x, counted)
            u = self.physics.A(new)
            worse = self.fit_value(u, new - z, weight) >= value
            if bool(worse.any()):
                nearest = self.distance.nearest(self.physics.A(x), self.y)
                safe = self._least_squares(z, weight, x, self._weights(x), nearest)
                new = torch.where(per_image(worse, x), safe, new)
                u = self.physics.A(new)
            x = new
        return x

    def hessian(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """See `FittedDataTerm.hessian`: ``A^T W A`` without the measurements that ``x`` meets as inequalities."""
        counted = self.counted(self.physics.A(x)) * self._weights(x)
        return lambda v: self.physics.A_adjoint(counted * self.physics.A(v))

    def select(self, keep: Tensor) -> ClippedTerm:
        """See `DataTerm.select`."""
        return replace(super().select(keep), distance=self.distance.select(keep))

    def counted(self, u: Tensor) -> Tensor:
        """Return which measurements count as equations at ``u = A x``."""
        return (self.distance.nearest(u, self.y) - self.y).abs() <= MET

    def fit_value(self, u: Tensor, off: Tensor, weight: Scalar) -> Tensor:
        """Return ``f(x) + weight |off|^2/2``, ``(B,)``, which a fit lowers: ``u = A x`` and ``off = x - z``."""
        return self.value_of_measurements(u) + weight * image_dot(off, off) / 2

    def _weights(self, x: Tensor) -> Tensor:
        return self.distance.weights.to(x)

    def _newton(self, z: Tensor, weight: float, x: Tensor, counted: Tensor) -> Tensor:
        """Return the fit to the measurements at which ``counted`` is 1."""
        unweighted = self.distance.weights.ndim == 0 and self.distance.largest_weight == 1
        # Truth values take a quarter of the memory of numbers.
        each = counted if unweighted else counted * self._weights(x)
        return self._least_squares(z, weight, x, each, self.y)

    def _least_squares(self, z: Tensor, weight: float, x: Tensor, each: Tensor, y: Tensor) -> Tensor:
        """Return ``argmin sum_i each_i ((A x)_i - y_i)^2/2 + weight |x - z|^2/2``, beginning at ``x``."""
        right = self.physics.A_adjoint(each * y) + weight * z
        return solved(self.physics, weight, right, x, each)
