"""The loop that runs every solver: step budget, stopping per image, divergence, records, callbacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from gradprox.batch import per_image
from gradprox.priors.contract import Prior
from gradprox.solvers.contract import Callback, Step
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.result import Result
from gradprox.solvers.state import S, State, relative_change, select
from gradprox.status import Status

# A run has diverged if the norm of its images is this many times that of the first ones, or if its merit exceeds the
# first one by more than its modulus and this many of its rounding errors.
BLOW_UP = 1e3


class Algorithm(Protocol[S]):
    """The part of a `gradprox.solvers.solver.Solver` that the loop uses."""

    @property
    def certified(self) -> bool:
        """See `Solver`."""

    @property
    def out_of_steps(self) -> Status:
        """See `Solver`."""

    @property
    def max_iter(self) -> int:
        """See `Solver`."""

    @property
    def tol(self) -> float:
        """See `Solver`."""

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> S:
        """See `Solver.start`."""

    def step(self, data: DataTerm, prior: Prior, state: S) -> S:
        """See `Solver.step`."""


def run(
    solver: Algorithm[S],
    data: DataTerm,
    prior: Prior,
    x0: Tensor,
    running: Tensor,
    callback: Callback | None,
) -> Result:
    """Run a solver until every image has stopped.

    Args:
        solver: the algorithm.
        data: the data term.
        prior: the denoiser.
        x0: the first images, ``(B, C, H, W)``.
        running: the images to restore, ``(B,)``; the others end as `Status.NON_FINITE` without a step.
        callback: called after each step.
    """
    record = _Record(solver, x0, running)
    state = solver.start(data, prior, zeros_unless(running, x0))
    record.begin(state.objective)
    limits = _Limits.of(state)
    active = torch.arange(len(x0), device=x0.device)
    splits = data.splits()

    for number in range(1, solver.max_iter + 1):
        if not bool(running.any()):
            break
        if splits and not bool(running.all()):
            keep = running.nonzero()[:, 0]
            state, data, limits = select(state, keep), data.select(keep), limits.select(keep)
            active, running = active[keep], running[keep]
        new = solver.step(data, prior, state)
        residual = relative_change(new.x, state.x)
        finite, diverged = torch.isfinite(residual), torch.zeros_like(running)
        if solver.certified:
            finite &= torch.isfinite(new.objective)
            diverged = limits.exceeded(new)
            limits = limits.known_by(new)
        raised = new.merit > state.merit + state.rounding + new.rounding
        record.step(number, active[running], new.objective[running], residual[running], raised[running])
        if callback:
            seen = new if bool(running.all()) else select(new, running.nonzero()[:, 0])
            callback(Step(number, active[running], seen, residual[running]))
        sound = finite & ~diverged
        stalled = new.is_stalled
        stops = running & ((residual <= solver.tol * new.step_fraction) | ~sound | stalled)
        for index in stops.nonzero()[:, 0].tolist():
            status = Status.STALLED if stalled[index] else Status.CONVERGED
            status = Status.DIVERGED if diverged[index] else status
            record.stop(
                int(active[index]),
                number,
                status if finite[index] else Status.NON_FINITE,
                (new if sound[index] else state).x[index],
            )
        running = running & ~stops
        state = new
    for index in running.nonzero()[:, 0].tolist():
        record.final[int(active[index])] = state.x[index]
    return record.result(certified=solver.certified)


@dataclass(frozen=True)
class _Limits:
    """Bounds that no certified run exceeds.

    Attributes:
        ceiling: of the merit, ``(B,)``; NaN until a merit is known.
        length: of ``|x|``, ``(B,)``.
    """

    ceiling: Tensor
    length: Tensor

    @classmethod
    def of(cls, state: State) -> _Limits:
        """Return the bounds that follow from the first state."""
        # Images have values around 1.
        return cls(_ceiling(state), BLOW_UP * (_length(state.x) + state.x[0].numel() ** 0.5))

    def known_by(self, state: State) -> _Limits:
        """Return the bounds after a step: where the start had no merit, the state's takes its place."""
        return replace(self, ceiling=torch.where(self.ceiling.isnan(), _ceiling(state), self.ceiling))

    def select(self, keep: Tensor) -> _Limits:
        """Return the bounds of the images at the indices ``keep``."""
        return _Limits(self.ceiling[keep], self.length[keep])

    def exceeded(self, state: State) -> Tensor:
        """Return which images exceed a bound, ``(B,)``."""
        return (state.merit > self.ceiling) | (_length(state.x) > self.length)


def _ceiling(state: State) -> Tensor:
    return state.merit + state.merit.abs() + BLOW_UP * state.rounding


class _Record:
    """The result of a run, as far as it is known.

    Args:
        solver: the algorithm.
        x0: the first images.
        running: the images to restore, ``(B,)``.
    """

    def __init__(self, solver: Algorithm[S], x0: Tensor, running: Tensor) -> None:
        # The results of the images that have stopped; the others keep their first image.
        self.final: dict[int, Tensor] = {}
        self.x0 = x0
        self.status = [solver.out_of_steps if usable else Status.NON_FINITE for usable in running.tolist()]
        self.steps = torch.where(running, solver.max_iter, 0)
        self.increases = torch.zeros(len(x0), dtype=torch.long, device=x0.device)
        self.running = running
        self.max_iter = solver.max_iter

    def begin(self, objective: Tensor) -> None:
        """Record the objective before the first step."""
        batch = len(self.x0)
        self.objective = objective.new_full((batch, self.max_iter + 1), torch.nan)
        self.residuals = objective.new_full((batch, self.max_iter), torch.nan)
        self.objective[self.running, 0] = objective[self.running]

    def step(self, number: int, images: Tensor, objective: Tensor, residual: Tensor, raised: Tensor) -> None:
        """Record a step of the images at the indices ``images``."""
        self.objective[images, number] = objective
        self.residuals[images, number - 1] = residual.to(self.residuals)
        self.increases[images] += raised

    def stop(self, image: int, steps: int, status: Status, x: Tensor) -> None:
        """Record the end of one image."""
        self.steps[image], self.status[image], self.final[image] = steps, status, x

    def result(self, *, certified: bool) -> Result:
        """Return the result; records end with the last step of the slowest image."""
        longest = int(self.steps.max())
        return Result(
            torch.stack([self.final.get(image, first) for image, first in enumerate(self.x0)]),
            self.status,
            self.steps,
            self.objective[:, : longest + 1],
            self.residuals[:, :longest],
            self.increases,
            torch.zeros_like(self.steps),
            certified,
        )


def zeros_unless(usable: Tensor, values: Tensor) -> Tensor:
    """Return the batch ``values`` with zeros for the entries where ``usable``, ``(B,)``, is false."""
    return values if bool(usable.all()) else torch.where(per_image(usable, values), values, 0)


def all_finite(values: Tensor) -> Tensor:
    """Return which entries of a batch hold finite values only, ``(B,)``."""
    return torch.isfinite(values).flatten(1).all(dim=1)


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.flatten(1), dim=1)
