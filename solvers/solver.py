"""The one driver: every solver is settings, a state and a step; everything else happens here."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.errors import InputError
from gradprox.operators import LearnedProx
from gradprox.problems import initial_picture
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.result import Result, Status

# An objective is a sum of a few terms, each accurate to some units in the last place of the picture's type.
ROUNDING_UNITS = 4.0


@dataclass(frozen=True)
class State:
    """Where the iterations stand; every field is a tensor with the pictures of the batch first.

    Attributes:
        x: the pictures, ``(B, C, H, W)``.
        objective: exact objective at ``x``, ``(B,)``; NaN where it is not known.
        magnitude: sum of the moduli of the objective's terms, ``(B,)``: the scale of its rounding errors.
    """

    x: Tensor
    objective: Tensor
    magnitude: Tensor


S = TypeVar("S", bound=State)


def select(state: S, keep: Tensor) -> S:
    """Return the state of the pictures at indices ``keep``."""
    return dataclasses.replace(
        state, **{field.name: getattr(state, field.name)[keep] for field in dataclasses.fields(state)}
    )


@dataclass(frozen=True)
class Step:
    """What a callback sees after each step.

    Attributes:
        number: steps done, from 1.
        active: indices of the pictures still running, ``(A,)``.
        state: their state.
        residual: their relative change ``|x+ - x| / |x+|``, ``(A,)``.
    """

    number: int
    active: Tensor
    state: State
    residual: Tensor


Callback = Callable[[Step], None]


@dataclass(frozen=True, kw_only=True)
class Solver(ABC, Generic[S]):
    """Settings shared by all solvers; calling one reconstructs.

    Attributes:
        sigma: noise level at which the learned prox is used, on the scale of pictures in ``[0, 1]``: the larger,
            the smoother the reconstruction.
        max_steps: step budget.
        tol: a picture has converged when ``|x+ - x| <= tol |x+|``; 0 runs the whole budget.
        lipschitz: upper bound of ``|A|^2``, needed only for a physics whose norm gradprox does not know.
    """

    sigma: float
    max_steps: int = 200
    tol: float = 1e-4
    lipschitz: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise InputError(f"sigma must be positive, got {self.sigma:g}")
        if self.max_steps < 1:
            raise InputError(f"max_steps must be at least 1, got {self.max_steps}")
        if not 0 <= self.tol < 1:
            raise InputError(f"tol must be in [0, 1), got {self.tol:g}")

    @abstractmethod
    def start(self, data: LeastSquares, prior: LearnedProx, x: Tensor) -> S:
        """Return the state before the first step.

        Raises:
            InputError: the settings are illegal for this data term and this prior.
        """

    @abstractmethod
    def step(self, data: LeastSquares, prior: LearnedProx, state: S) -> S:
        """Return the next state; nothing is changed in place."""

    @torch.no_grad()
    def __call__(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: LearnedProx,
        *,
        x0: Tensor | None = None,
        callback: Callback | None = None,
    ) -> Result:
        """Reconstruct pictures from measurements.

        Args:
            y: measurements of a batch of pictures, batch first.
            physics: the operator that made them.
            prior: a learned prox (`gradprox.load_model`).
            x0: where to start, ``(B, C, H, W)``; `gradprox.problems.initial_picture` if not given.
            callback: called after every step.

        Raises:
            InputError: measurements that are not finite, an unknown norm, an illegal step size.
        """
        data = LeastSquares.build(y, physics, self.lipschitz)
        x = initial_picture(y, physics) if x0 is None else x0
        return _run(self, data, prior, x, callback)


def _run(
    solver: Solver[S],
    data: LeastSquares,
    prior: LearnedProx,
    x0: Tensor,
    callback: Callback | None,
) -> Result:
    batch, budget = x0.shape[0], solver.max_steps
    state = solver.start(data, prior, x0)
    kind: dict[str, Any] = {"dtype": state.objective.dtype, "device": x0.device}
    final = x0.clone()
    status = [Status.MAX_STEPS] * batch
    steps = torch.full((batch,), budget, device=x0.device)
    objective = torch.full((batch, budget + 1), torch.nan, **kind)
    residuals = torch.full((batch, budget), torch.nan, **kind)
    increases = torch.zeros(batch, dtype=torch.long, device=x0.device)
    objective[:, 0] = state.objective
    active = torch.arange(batch, device=x0.device)
    can_drop = data.splits()

    for number in range(1, budget + 1):
        new = solver.step(data, prior, state)
        residual = relative_change(new.x, state.x)
        finite = torch.isfinite(new.objective) & torch.isfinite(residual)
        rounding = ROUNDING_UNITS * torch.finfo(x0.dtype).eps * (new.magnitude + state.magnitude)
        running = status_is_open(status, active)
        objective[active[running], number] = new.objective[running]
        residuals[active[running], number - 1] = residual[running].to(residuals)
        increases[active[running]] += (new.objective > state.objective + rounding)[running]
        final[active[running & finite]] = new.x[running & finite]
        if callback:
            callback(Step(number, active[running], select(new, running.nonzero()[:, 0]), residual[running]))
        for index in ((residual <= solver.tol) | ~finite).logical_and(running).nonzero()[:, 0].tolist():
            picture = int(active[index])
            status[picture] = Status.CONVERGED if finite[index] else Status.NON_FINITE
            steps[picture] = number
        running = status_is_open(status, active)
        if not bool(running.any()):
            break
        state = new
        if can_drop and not bool(running.all()):
            keep = running.nonzero()[:, 0]
            state, data, active = select(state, keep), data.select(keep), active[keep]
    longest = int(steps.max())
    return Result(final, status, steps, objective[:, : longest + 1], residuals[:, :longest], increases)


def status_is_open(status: list[Status], active: Tensor) -> Tensor:
    """Return which of the ``active`` pictures are still running, as a mask."""
    return torch.tensor([status[i] is Status.MAX_STEPS for i in active.tolist()], device=active.device)


def relative_change(new: Tensor, old: Tensor) -> Tensor:
    """Return ``|new - old| / |new|`` of each picture, ``(B,)``; 0 where nothing changed."""
    change = torch.linalg.vector_norm((new - old).flatten(1), dim=1)
    size = torch.linalg.vector_norm(new.flatten(1), dim=1)
    return torch.where(change == 0, change, change / size.clamp_min(torch.finfo(new.dtype).tiny))
