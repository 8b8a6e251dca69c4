r"""Primal-dual splitting for data terms without a gradient or a closed-form fit, and for boxes.

It seeks the minimum of ``F(x) = d(A x, y) + lambda R(x)`` over a box. Of ``d`` it needs the prox only, so ``d`` may be
``|.|_1`` or the Poisson likelihood. With the dual variable ``u`` (Condat, J. Optim. Theory Appl. 2013; Vu, Adv. Comput.
Math. 2013),

    x+ = project(x - tau (lambda (x - D(x)) + A^T u)),    u+ = prox_{s d*}(u + s A (2 x+ - x)).

For convex ``R`` (``|D|_Lip <= 1``) with curvature at most ``c`` (1 for a prox) it converges to a minimum when
``1/tau - s |A|^2 >= lambda c/2``. Its objective need not descend, and for other priors nothing is proven. So the solver
is **not certified**, although its objective is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.capabilities import curvature
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_box, check_positive
from gradprox.solvers.smooth_objective import common_box, project, smooth_rounding
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import State


@dataclass(frozen=True)
class PrimalDualState(State):
    """The state of primal-dual splitting.

    Attributes:
        denoised: ``D(x)``.
        measured: ``A x``.
        dual: ``u``, shaped like the measurements.
    """

    denoised: Tensor
    measured: Tensor
    dual: Tensor


@named_settings
@dataclass(frozen=True, kw_only=True)
class PrimalDual(Solver[PrimalDualState]):
    """Primal-dual splitting of Condat and Vu, for any convex data term with a prox, and a box. Not certified.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer.
        dual_stepsize: ``s``; ``lambda_reg/|A|^2`` if not given.
        stepsize: ``tau``; the largest that converges for convex ``R`` if not given, ``1/(lambda_reg c/2 + s |A|^2)``.
        box: the range of pixels, for example ``(0, 1)``; all values if not given.
    """

    certified = False
    needs_prox = False
    data_terms = DataTerm

    lambda_reg: float = 1.0
    dual_stepsize: float | None = None
    stepsize: float | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lambda_reg", self.lambda_reg)
        check_box(self.box)
        for name in ("dual_stepsize", "stepsize"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> PrimalDualState:
        """See `Solver.start`."""
        limit = self._limit(data, prior)
        if self.stepsize is not None and self.stepsize > limit:
            raise InputError(
                f"stepsize must be between 0 and {limit:.6g}, which is 1/(lambda_reg c/2 + dual_stepsize |A|^2) for "
                f"this prior and this operator; got {self.stepsize:g}"
            )
        x = project(x, common_box(self.box, data))
        measured = data.physics.A(x)
        # A dual of zeros would hide the measurements from the first step, which could then pass for convergence.
        s = self._dual_step(data)
        return self._state(data, prior, x, measured, data.dual_prox(s * measured, s))

    def step(self, data: DataTerm, prior: Prior, state: PrimalDualState) -> PrimalDualState:
        """See `Solver.step`."""
        s = self._dual_step(data)
        tau = self._limit(data, prior) if self.stepsize is None else self.stepsize
        slope = self.lambda_reg * (state.x - state.denoised) + data.physics.A_adjoint(state.dual)
        x = project(state.x - tau * slope, common_box(self.box, data))
        measured = data.physics.A(x)
        dual = data.dual_prox(state.dual + s * (2 * measured - state.measured), s)
        return self._state(data, prior, x, measured, dual)

    def _dual_step(self, data: DataTerm) -> float:
        return self.lambda_reg / data.squared_norm if self.dual_stepsize is None else self.dual_stepsize

    def _limit(self, data: DataTerm, prior: Prior) -> float:
        curved = self.lambda_reg * curvature(prior, "PrimalDual")
        return 1 / (curved / 2 + self._dual_step(data) * data.squared_norm)

    def _state(
        self, data: DataTerm, prior: Prior, x: Tensor, measured: Tensor, dual: Tensor
    ) -> PrimalDualState:
        fit = data.value_of_measurements(measured)
        denoised, energy = prior.denoise_with_energy(x, self.sigma)
        rounding = smooth_rounding(data, self.sigma, self.lambda_reg, x, fit, energy, x - denoised)
        return PrimalDualState(x, fit + self.lambda_reg * energy, rounding, denoised, measured, dual)
