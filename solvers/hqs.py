r"""Half-quadratic splitting on an explicit objective: denoising and a least-squares fit in alternation.

With the Moreau envelope ``R`` of ``phi`` (see `gradprox.priors.learned_prox`),

    f(x) + lambda R(x) = min_z  f(x) + lambda (phi(z) + |x - z|^2/2).

Minimizing over ``z`` and ``x`` in turn gives ``z = D(x)`` and ``x+ = argmin f + lambda |. - z|^2/2`` (Geman and Yang,
IEEE Trans. Image Process. 1995). Each minimization lowers the right-hand side. So ``F = f + lambda R`` descends for
every ``lambda``, and no step size is needed. This holds *because* ``D`` is a prox. The fit is strongly convex, hence

    F(x+) <= F(x) - lambda |x+ - x|^2/2.

Where the fit has no closed form, conjugate gradients start at ``x``. They lower its objective after any number of
iterations. So does the fit of a data term that is not quadratic (`gradprox.solvers.clipping`). Then ``F`` falls, too.

**Priors with an explicit energy only.** Where ``D = I - grad R`` is not a prox, a relaxed step replaces it:

    z = x - alpha grad R(x),    x+ = argmin f + lambda/(2 alpha) |. - z|^2.

This is a proximal gradient step on ``F``. The fit is strongly convex, so ``f(x+) + lambda <grad R(x), x+ - x> <= f(x) -
(lambda/alpha) |x+ - x|^2``, and if the curvature of ``R`` between ``x`` and ``x+`` is at most ``c``,

    F(x+) <= F(x) - lambda (1/alpha - c/2) |x+ - x|^2.

``c`` is not known, so ``alpha`` is halved until ``F`` falls by at least ``delta (lambda/alpha) |x+ - x|^2``. Every
``alpha`` below ``2 (1 - delta)/c`` passes this test. The search starts at twice the last ``alpha``, but at most at 1.
Hurault, Leclaire and Papadakis (ICLR 2022) give the search and prove its convergence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradprox.batch import image_dot, per_image
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm, FittedDataTerm, fitted
from gradprox.solvers.line_search import DELTA, SLACK, Found, SearchedState, backtrack, longer
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.scalar import Scalar
from gradprox.solvers.settings import check_positive
from gradprox.solvers.smooth_objective import smooth_rounding
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import choose


@dataclass(frozen=True)
class HQSState(SearchedState):
    """The state of half-quadratic splitting; the searched length is ``alpha``.

    Attributes:
        denoised: ``D(x)``.
    """

    denoised: Tensor

    @classmethod
    def first(cls, x: Tensor, objective: Tensor, rounding: Tensor, denoised: Tensor) -> HQSState:
        """Return the state before the first step, or after one that needed no search."""
        one = torch.ones_like(objective)
        return cls(x, objective, rounding, one, torch.zeros_like(one, dtype=torch.bool), denoised)

    def followed_by(self, found: Found[HQSState]) -> HQSState:
        """Return the state after a search; images without an acceptable step stay as they are."""
        new = choose(found.accepted, found.state, self)
        return replace(new, fraction=found.length, stalled=~found.accepted)


@named_settings
@dataclass(frozen=True, kw_only=True)
class HQS(Solver[HQSState]):
    """Half-quadratic splitting: ``z = D(x)``, ``x+ = argmin f(x) + lambda_reg |x - z|^2/2``.

    It descends the same objective as `GD`, but ill-conditioned operators do not slow it down. With a prior that has an
    explicit energy only, each step is relaxed, with a line search for ``alpha``; see the module's head.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(torch.rand(1, 1, 24, 20))
        >>> result = HQS(sigma=0.05, lambda_reg=0.1, max_iter=5)(y, physics, load_model("gray-fast"))
        >>> result.x.shape, int(result.objective_increases[0])
        (torch.Size([1, 1, 24, 20]), 0)
    """

    needs_prox = False
    needs_norm = False
    data_terms = FittedDataTerm

    lambda_reg: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lambda_reg", self.lambda_reg)

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> HQSState:
        """See `Solver.start`."""
        fit = data.value(x)
        denoised, energy = prior.denoise_with_energy(x, self.sigma)
        rounding = smooth_rounding(data, self.sigma, self.lambda_reg, x, fit, energy, x - denoised)
        return HQSState.first(x, fit + self.lambda_reg * energy, rounding, denoised)

    def step(self, data: DataTerm, prior: Prior, state: HQSState) -> HQSState:
        """See `Solver.step`."""
        if prior.is_prox:
            return self.start(data, prior, fitted(data).fit(state.denoised, self.lambda_reg, state.x))

        def attempt(relaxation: Tensor) -> tuple[HQSState, Tensor]:
            target, weights = relaxed(state.x, state.denoised, relaxation, self.lambda_reg)
            x = fit_with_weights(fitted(data), target, weights, state.x)
            del target  # memory for large photos
            new = self.start(data, prior, x)
            descent = enough_descent(state.x, new.x, weights, state.rounding, new.rounding)
            return new, state.objective - descent

        return state.followed_by(backtrack(attempt, longer(state.fraction)))


def relaxed(x: Tensor, denoised: Tensor, relaxation: Tensor, lambda_reg: Scalar) -> tuple[Tensor, Tensor]:
    """Return the images to fit in a relaxed step, and the weights of the fits, ``(B,)``; ``denoised`` is ``D(x)``."""
    return x - per_image(relaxation, x) * (x - denoised), lambda_reg / relaxation


def enough_descent(x: Tensor, new: Tensor, weights: Tensor, rounding: Tensor, new_rounding: Tensor) -> Tensor:
    """Return the least descent, ``(B,)``, by which a step from ``x`` to ``new`` is accepted."""
    change = new - x
    descent = DELTA * weights * image_dot(change, change)
    return descent - SLACK * (rounding + new_rounding)


def fit_with_weights(data: FittedDataTerm, z: Tensor, weights: Tensor, start: Tensor) -> Tensor:
    """Return ``argmin_x f(x) + weight |x - z|^2/2``, with one weight per image: ``weights``, ``(B,)``."""
    values = weights.unique().tolist()
    x = data.fit(z, values[0], start)
    for value in values[1:]:
        x = torch.where(per_image(weights == value, z), data.fit(z, value, start), x)
    return x
