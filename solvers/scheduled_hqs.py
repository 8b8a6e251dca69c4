r"""Half-quadratic splitting with a falling noise level, not certified.

    x = argmin f + mu_k |. - z|^2/2,   mu_k = lambda_reg (noise/sigma_k)^2 |. - z|^2/2,    z+ = D(x, sigma_k),

with ``sigma_k`` falling geometrically (Zhang et al., IEEE Trans. Pattern Anal. Mach. Intell. 2022), as plug-and-play
restoration is often run. Each step is one of another function, so there is no objective, none is reported, and the
iteration ends where the schedule does. A preset (`gradprox.solvers.presets`) starts from such a schedule too, but then
descends the last function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.result import Status
from gradprox.solvers.smooth_objective import check_lambda_reg
from gradprox.solvers.solver import Solver, State


@dataclass(frozen=True)
class ScheduledState(State):
    """Where the schedule stands; the objective is NaN.

    Attributes:
        number: steps done, ``(B,)``.
    """

    number: Tensor


@dataclass(frozen=True, kw_only=True)
class ScheduledHQS(Solver[ScheduledState]):
    """Half-quadratic splitting whose noise level falls from ``first_sigma`` to ``sigma`` in ``max_iter`` steps.

    Attributes:
        noise: standard deviation of the measurement noise, on the scale of images in ``[0, 1]``.
        first_sigma: the noise level of the first step.
        lambda_reg: weight of the regularizer at ``sigma_k = noise``.
        max_iter: length of the schedule.
        tol: 0 unless an image may stop before the schedule ends.
    """

    certified = False
    needs_norm = False
    out_of_steps = Status.SCHEDULE_DONE

    noise: float
    first_sigma: float = 50 / 255
    lambda_reg: float = 0.6
    max_iter: int = 16
    tol: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lambda_reg(self.lambda_reg)
        if not 0 < self.noise < float("inf"):
            raise InputError(f"noise must be positive, got {self.noise:g}")
        if not self.sigma <= self.first_sigma < float("inf"):
            raise InputError(f"first_sigma must be at least sigma, {self.sigma:g}, got {self.first_sigma:g}")

    def start(self, data: DataTerm, prior: LearnedProx, x: Tensor) -> ScheduledState:  # noqa: ARG002
        """See `Solver.start`."""
        unknown = torch.full_like(data.value(x), torch.nan)
        return ScheduledState(x, unknown, unknown, torch.zeros_like(unknown))

    def step(self, data: DataTerm, prior: LearnedProx, state: ScheduledState) -> ScheduledState:
        """See `Solver.step`."""
        done = int(state.number[0]) / max(1, self.max_iter - 1)
        sigma = self.first_sigma * (self.sigma / self.first_sigma) ** done
        fitted = data.fit(state.x, self.lambda_reg * (self.noise / sigma) ** 2, state.x)
        return ScheduledState(prior(fitted, sigma), state.objective, state.magnitude, state.number + 1)
