r"""Primal-dual splitting for data terms without a gradient or a closed-form fit, and for boxes.

It seeks the minimum of ``F(x) = d(A x, y) + lambda R(x)`` over a box, where ``d`` needs a prox only: ``|.|_1``, the
Poisson likelihood. With the dual variable ``u`` (Condat, J. Optim. Theory Appl. 2013; Vu, Adv. Comput. Math. 2013),

    x+ = project(x - tau (lambda (x - D(x)) + A^T u)),    u+ = prox_{s d*}(u + s A (2 x+ - x)).

For convex ``R`` (``|D|_Lip <= 1``) it converges to a minimum when ``1/tau - s |A|^2 >= lambda/2``. It does not descend,
and for other priors nothing is proven: the solver is **not certified**. Its objective is exact all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.smooth_objective import Box, check_box, check_lambda_reg, project
from gradprox.solvers.solver import Solver, State


@dataclass(frozen=True)
class PrimalDualState(State):
    """Where primal-dual splitting stands.

    Attributes:
        denoised: ``D(x)``.
        measured: ``A x``.
        dual: ``u``, shaped like the measurements.
    """

    denoised: Tensor
    measured: Tensor
    dual: Tensor


@dataclass(frozen=True, kw_only=True)
class PrimalDual(Solver[PrimalDualState]):
    """Primal-dual splitting of Condat and Vu, for any convex data term with a prox, and a box. Not certified.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer.
        dual_stepsize: ``s``; ``lambda_reg/|A|^2`` if not given.
        stepsize: ``tau``; the largest that converges for convex ``R`` if not given, ``1/(lambda_reg/2 + s |A|^2)``.
        box: the range of pixels, as ``(0, 1)``; any value if not given.
    """

    certified = False
    needs_least_squares = False

    lambda_reg: float = 1.0
    dual_stepsize: float | None = None
    stepsize: float | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lambda_reg(self.lambda_reg)
        check_box(self.box)
        if self.dual_stepsize is not None and not 0 < self.dual_stepsize < float("inf"):
            raise InputError(f"dual_stepsize must be positive, got {self.dual_stepsize:g}")

    def start(self, data: DataTerm, prior: LearnedProx, x: Tensor) -> PrimalDualState:
        """See `Solver.start`."""
        limit = self._limit(data)
        if self.stepsize is not None and not 0 < self.stepsize <= limit:
            raise InputError(
                f"PrimalDual takes step sizes between 0 and {limit:.6g}, 1/(lambda_reg/2 + dual_stepsize |A|^2), with "
                f"this operator; got {self.stepsize:g}"
            )
        x = project(x, self.box)
        measured = data.physics.A(x)
        return self._state(data, prior, x, measured, measured.new_zeros(measured.shape))

    def step(self, data: DataTerm, prior: LearnedProx, state: PrimalDualState) -> PrimalDualState:
        """See `Solver.step`."""
        s = self._dual_step(data)
        tau = self._limit(data) if self.stepsize is None else self.stepsize
        slope = self.lambda_reg * (state.x - state.denoised) + data.physics.A_adjoint(state.dual)
        x = project(state.x - tau * slope, self.box)
        measured = data.physics.A(x)
        dual = data.dual_prox(state.dual + s * (2 * measured - state.measured), s)
        return self._state(data, prior, x, measured, dual)

    def _dual_step(self, data: DataTerm) -> float:
        return self.lambda_reg / data.squared_norm if self.dual_stepsize is None else self.dual_stepsize

    def _limit(self, data: DataTerm) -> float:
        return 1 / (self.lambda_reg / 2 + self._dual_step(data) * data.squared_norm)

    def _state(
        self, data: DataTerm, prior: LearnedProx, x: Tensor, measured: Tensor, dual: Tensor
    ) -> PrimalDualState:
        value = data.value_of_measurements(measured)
        denoised, regularizer = prior.denoise_with_energy(x, self.sigma)
        return PrimalDualState(
            x,
            value + self.lambda_reg * regularizer,
            value.abs() + self.lambda_reg * regularizer.abs(),
            denoised,
            measured,
            dual,
        )
