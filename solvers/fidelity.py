"""Data terms of `deepinv.optim` for solvers: least squares in closed form, any other as its distance gives it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from deepinv.optim import L2, DataFidelity
from deepinv.optim.distance import Distance, PoissonLikelihoodDistance
from deepinv.physics import BlurFFT, LinearPhysics
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.physics import squared_norm
from gradprox.solvers.circular_least_squares import CircularLeastSquares
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.least_squares import LeastSquares


class ExactPoisson(PoissonLikelihoodDistance):
    """The Poisson likelihood ``t - y log t``, ``t = u/gain + bkg``, with its derivative and prox.

    deepinv's own value adds up the images of a batch, its gradient is ``gain^2`` times too large, and its prox is
    that of no function of this family (deepinv 0.5).
    """

    def fn(self, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        """Return the value, ``(B,)``."""
        t, counts = self._terms(x, y)
        return image_sum(t - counts - torch.xlogy(counts, t))

    def grad(self, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        """Return the derivative."""
        t, counts = self._terms(x, y)
        return (1 - counts / t) / self.gain

    def prox(self, x: Tensor, y: Tensor, *_: object, gamma: float = 1.0, **__: object) -> Tensor:
        """Return ``argmin_u gamma d(u, y) + |u - x|^2/2``: the positive root of a quadratic equation in ``t``."""
        counts = self._terms(x, y)[1]
        square = self.gain**2
        half = (gamma - square * self.bkg - self.gain * x) / 2
        t = ((half.square() + square * gamma * counts).sqrt() - half) / square
        return self.gain * (t - self.bkg)

    def _terms(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x / self.gain + self.bkg, y / self.gain if self.denormalize else y


@dataclass(frozen=True)
class Fidelity(DataTerm):
    """A `deepinv.optim.DataFidelity` with a distance ``d``, which is convex.

    Attributes:
        norm_bound: a proven upper bound of ``|A|^2``; infinite where none is known.
        distance: ``d``.
    """

    quadratic = False

    norm_bound: float
    distance: Distance

    @property
    def squared_norm(self) -> float:
        """See `DataTerm.squared_norm`."""
        return self.norm_bound

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `DataTerm.value_and_gradient`."""
        u = self.physics.A(x)
        # Where deepinv differentiates automatically it marks its argument.
        slope = self.distance.grad(u.clone(), self.y).detach()
        return self.value_of_measurements(u), self.physics.A_adjoint(slope)

    def value_of_measurements(self, u: Tensor) -> Tensor:
        """See `DataTerm.value_of_measurements`."""
        return self.distance(u, self.y).to(u.dtype if u.device.type == "mps" else torch.float64)

    def dual_prox(self, u: Tensor, step: float) -> Tensor:
        """See `DataTerm.dual_prox`."""
        return self.distance.prox_conjugate(u, self.y, gamma=step).detach()

    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:
        """Raise: there is no closed form, and no solver that needs one takes this data term."""
        raise NotImplementedError


def data_term(
    y: Tensor,
    physics: LinearPhysics,
    fidelity: DataFidelity | None = None,
    *,
    lipschitz: float | None = None,
    needs_norm: bool = True,
) -> DataTerm:
    """Return the data term; look up the norm of the operator where none is given.

    Args:
        y: measurements of a batch of images, batch first.
        physics: the linear operator ``A``.
        fidelity: ``|A x - y|^2 / 2`` if not given.
        lipschitz: upper bound of ``|A|^2``; the physics' own if not given.
        needs_norm: refuse a physics of unknown norm.

    Raises:
        InputError: a norm that is not positive, or unknown and needed.
    """
    bound = _norm_bound(physics, lipschitz, needs_norm)
    if fidelity is None or isinstance(fidelity, L2):
        weight = 1.0 if fidelity is None else float(fidelity.d.norm)
        if isinstance(physics, BlurFFT):
            return CircularLeastSquares.of(y, physics, weight * bound, weight)
        return LeastSquares(y, physics, weight * bound, weight)
    distance = fidelity.d
    if isinstance(distance, PoissonLikelihoodDistance):
        distance = ExactPoisson(distance.gain, distance.bkg, distance.denormalize)
    return Fidelity(y, physics, float("inf"), bound, distance)


def _norm_bound(physics: LinearPhysics, lipschitz: float | None, needed: bool) -> float:
    try:
        bound = squared_norm(physics) if lipschitz is None else float(lipschitz)
    except InputError:
        if needed:
            raise
        return float("inf")
    if not 0 < bound < float("inf"):
        raise InputError(f"the Lipschitz constant of the data term must be positive, got {bound:g}")
    return bound
