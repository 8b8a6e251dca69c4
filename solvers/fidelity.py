"""From a `deepinv.optim.DataFidelity` to the data term that solvers use."""

from __future__ import annotations

from deepinv.optim import L2, DataFidelity
from deepinv.optim.distance import PoissonLikelihoodDistance
from deepinv.physics import BlurFFT, LinearPhysics
from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics import squared_norm
from gradprox.solvers.circular_least_squares import CircularLeastSquares
from gradprox.solvers.clipping import ClippedDistance, ClippedTerm
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.distance_term import DistanceTerm
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.poisson import PoissonLikelihood, PoissonTerm, nonnegative_counts


def build_data_term(
    y: Tensor,
    physics: LinearPhysics,
    fidelity: DataFidelity | None = None,
    *,
    lipschitz: float | None = None,
    needs_norm: bool = True,
) -> DataTerm:
    """Return the data term of some measurements.

    Args:
        y: measurements of a batch of images, batch first.
        physics: the linear operator ``A``.
        fidelity: ``|A x - y|^2 / 2`` if not given.
        lipschitz: upper bound of ``|A|^2``; `gradprox.physics.squared_norm` if not given.
        needs_norm: whether to refuse a physics with an unknown norm.

    Raises:
        InputError: the norm is not positive, or it is needed and unknown; there are negative Poisson counts; or weights
            do not fit.
    """
    bound = _norm_bound(physics, lipschitz, needed=needs_norm)
    if fidelity is None or isinstance(fidelity, L2):
        weight = 1.0 if fidelity is None else float(fidelity.d.norm)
        if isinstance(physics, BlurFFT):
            return CircularLeastSquares.of(y, physics, weight * bound, weight)
        return LeastSquares(y, physics, weight * bound, weight)
    distance = fidelity.d
    if isinstance(distance, ClippedDistance):
        check_weights(distance.weights, y)
        return ClippedTerm(y, physics, distance.largest_weight * bound, bound, distance)
    if isinstance(distance, PoissonLikelihoodDistance):
        likelihood = PoissonLikelihood(distance.gain, distance.bkg, distance.denormalize)
        return PoissonTerm(nonnegative_counts(y), physics, float("inf"), bound, likelihood)
    return DistanceTerm(y, physics, float("inf"), bound, distance)


def check_weights(weights: Tensor, y: Tensor) -> None:
    """Refuse weights whose shape does not extend to that of the measurements.

    Raises:
        InputError: it does not; the message says so.
    """
    sizes = list(zip(reversed(weights.shape), reversed(y.shape), strict=False))
    if weights.ndim > y.ndim or not all(size in (1, wanted) for size, wanted in sizes):
        raise InputError(
            f"fidelity: weights of shape {tuple(weights.shape)} do not extend to y of shape {tuple(y.shape)}"
        )


def _norm_bound(physics: LinearPhysics, lipschitz: float | None, *, needed: bool) -> float:
    try:
        bound = squared_norm(physics) if lipschitz is None else float(lipschitz)
    except InputError:
        if needed:
            raise
        return float("inf")
    if not 0 < bound < float("inf"):
        raise InputError(f"the Lipschitz constant of the data term must be positive, got {bound:g}")
    return bound
