r"""Half-quadratic splitting on an explicit objective: a denoising and a least-squares fit in turn.

With the Moreau envelope ``R`` of ``phi`` (see `gradprox.priors.learned_prox`),

    f(x) + lambda R(x) = min_z  f(x) + lambda (phi(z) + |x - z|^2/2).

Minimizing over ``z`` and ``x`` in turn gives ``z = D(x)`` and ``x+ = argmin f + lambda |. - z|^2/2`` (Geman and Yang,
IEEE Trans. Image Process. 1995). Each of the two lowers the right-hand side. So ``F = f + lambda R`` descends,
*because* ``D`` is a prox, for every ``lambda`` and without a step size. The fit is strongly convex, hence

    F(x+) <= F(x) - lambda |x+ - x|^2/2.

Where the fit has no closed form, conjugate gradients started at ``x`` lower it too, after any number of iterations.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm, quadratic
from gradprox.solvers.settings import check_positive
from gradprox.solvers.smooth_objective import smooth_rounding
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import State


@dataclass(frozen=True)
class HQSState(State):
    """The state of half-quadratic splitting.

    Attributes:
        denoised: ``z = D(x)``.
    """

    denoised: Tensor


@dataclass(frozen=True, kw_only=True)
class HQS(Solver[HQSState]):
    """Half-quadratic splitting: ``z = D(x)``, ``x+ = argmin f(x) + lambda_reg |x - z|^2/2``.

    Its objective is that of `GD`. The conditioning of the operator does not slow it down.

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

    needs_norm = False

    lambda_reg: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lambda_reg", self.lambda_reg)

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> HQSState:
        """See `Solver.start`."""
        fit = data.value(x)
        denoised, energy = prior.denoise_with_energy(x, self.sigma)
        rounding = smooth_rounding(data, self.sigma, self.lambda_reg, x, fit, energy, x - denoised)
        return HQSState(x, fit + self.lambda_reg * energy, rounding, denoised)

    def step(self, data: DataTerm, prior: Prior, state: HQSState) -> HQSState:
        """See `Solver.step`."""
        return self.start(data, prior, quadratic(data).fit(state.denoised, self.lambda_reg, state.x))
