r"""Half-quadratic splitting with a falling noise level, not certified.

    x = argmin f + mu_k |. - z|^2/2,    z+ = D(x, sigma_k),    mu_k = lambda_reg (noise/sigma_k)^2,

with ``sigma_k`` falling geometrically (Zhang et al., IEEE Trans. Pattern Anal. Mach. Intell. 2022). Plug-and-play
restoration is often run in this way. Each step belongs to another function, so there is no objective. The iteration
ends with the schedule. A preset (`gradprox.solvers.presets`) begins with such a schedule too, and then descends the
last function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm, quadratic
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_level, check_positive, number
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import State
from gradprox.status import Status


@dataclass(frozen=True)
class ScheduledState(State):
    """The state of the schedule; its objective is NaN.

    Attributes:
        number: steps done, ``(B,)``.
    """

    number: Tensor

    @classmethod
    def first(cls, data: DataTerm, x: Tensor) -> ScheduledState:
        """Return the state before the first step."""
        unknown = torch.full_like(data.value(x), torch.nan)
        return cls(x, unknown, unknown, torch.zeros_like(unknown))


@named_settings
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
        check_positive("lambda_reg", self.lambda_reg)
        check_level("noise", self.noise)
        if not self.sigma <= number("first_sigma", self.first_sigma) < float("inf"):
            raise InputError(f"first_sigma must be at least sigma, {self.sigma:g}, got {self.first_sigma:g}")

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> ScheduledState:  # noqa: ARG002
        """See `Solver.start`."""
        return ScheduledState.first(data, x)

    def step(self, data: DataTerm, prior: Prior, state: ScheduledState) -> ScheduledState:
        """See `Solver.step`."""
        done = int(state.number[0]) / max(1, self.max_iter - 1)
        sigma = self.first_sigma * (self.sigma / self.first_sigma) ** done
        fitted = quadratic(data).fit(state.x, self.lambda_reg * (self.noise / sigma) ** 2, state.x)
        return ScheduledState(prior(fitted, sigma), state.objective, state.rounding, state.number + 1)
