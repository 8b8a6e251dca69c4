"""The one driver: every solver is settings, a state and a step; everything else happens here."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.batch import per_image
from gradprox.errors import InputError
from gradprox.physics import initial_image
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.fidelity import data_term
from gradprox.solvers.result import Result, Status

# How accurate the terms of an objective are, in units in the last place of the image's type. Within the envelope of a
# network larger numbers cancel: over a thousand random problems that cost up to 17 units.
ROUNDING_UNITS = 32.0
BLOW_UP = 1e3


@dataclass(frozen=True)
class State:
    """Where the iterations stand; every field is a tensor with the images of the batch first.

    Attributes:
        x: the images, ``(B, C, H, W)``.
        objective: exact objective at ``x``, ``(B,)``; NaN where it is not known.
        magnitude: sum of the moduli of the objective's terms, ``(B,)``: the scale of its rounding errors.
    """

    x: Tensor
    objective: Tensor
    magnitude: Tensor

    @property
    def merit(self) -> Tensor:
        """Return what the solver proves never to rise, ``(B,)``: the objective, unless it says otherwise."""
        return self.objective


S = TypeVar("S", bound=State)


def select(state: S, keep: Tensor) -> S:
    """Return the state of the images at indices ``keep``."""
    return dataclasses.replace(
        state, **{field.name: getattr(state, field.name)[keep] for field in dataclasses.fields(state)}
    )


def choose(mask: Tensor, state: S, other: S) -> S:
    """Return ``state`` for the images where ``mask``, ``(B,)``, holds, ``other`` for the rest."""
    if bool(mask.all()):
        return state
    pairs = {
        field.name: (getattr(state, field.name), getattr(other, field.name))
        for field in dataclasses.fields(state)
    }
    return dataclasses.replace(
        state, **{name: torch.where(per_image(mask, a), a, b) for name, (a, b) in pairs.items()}
    )


@dataclass(frozen=True)
class Step:
    """What a callback sees after each step.

    Attributes:
        number: steps done, from 1.
        active: indices of the images still running, ``(A,)``.
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
        sigma: noise level at which the learned prox is used, on the scale of images in ``[0, 1]``: the larger,
            the smoother the reconstruction.
        max_iter: step budget.
        tol: an image has converged when ``|x+ - x| <= tol |x+|``; 0 runs the whole budget.
        lipschitz: upper bound of ``|A|^2``, needed only for a physics whose norm gradprox does not know.
        certified: whether no step can raise the objective (more exactly, `State.merit`): a fact of the algorithm.
        needs_norm: whether its step sizes come from ``|A|^2``.
        needs_least_squares: whether it takes no other data term than ``|A x - y|^2 / 2``.
        out_of_steps: the status of images that used up the budget.
    """

    certified: ClassVar[bool] = True
    needs_norm: ClassVar[bool] = True
    needs_least_squares: ClassVar[bool] = True
    out_of_steps: ClassVar[Status] = Status.MAX_ITER

    sigma: float
    max_iter: int = 200
    tol: float = 1e-4
    lipschitz: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise InputError(f"sigma must be positive, got {self.sigma:g}")
        if self.max_iter < 1:
            raise InputError(f"max_iter must be at least 1, got {self.max_iter}")
        if not 0 <= self.tol < 1:
            raise InputError(f"tol must be in [0, 1), got {self.tol:g}")

    @abstractmethod
    def start(self, data: DataTerm, prior: LearnedProx, x: Tensor) -> S:
        """Return the state before the first step.

        Raises:
            InputError: the settings are illegal for this data term and this prior.
        """

    @abstractmethod
    def step(self, data: DataTerm, prior: LearnedProx, state: S) -> S:
        """Return the next state; nothing is changed in place."""

    @torch.no_grad()
    def __call__(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: LearnedProx,
        *,
        fidelity: DataFidelity | None = None,
        x0: Tensor | None = None,
        callback: Callback | None = None,
    ) -> Result:
        """Reconstruct images from measurements.

        Args:
            y: measurements of a batch of images, batch first.
            physics: the operator that made them.
            prior: a learned prox (`gradprox.load_model`).
            fidelity: the data term, of `deepinv.optim`; ``|A x - y|^2 / 2`` if not given.
            x0: where to start, ``(B, C, H, W)``; `gradprox.physics.initial_image` if not given.
            callback: called after every step.

        Raises:
            InputError: an argument is of another type, no image's measurements are finite, an unknown norm, an
                illegal step size, a data term that this solver does not take.
        """
        check_arguments(y, physics, prior, fidelity, x0)
        usable = all_finite(y)
        if not bool(usable.any()):
            raise InputError("the measurements contain NaN or infinite values")
        # An image that is not finite from the start is never touched; zeros take its place among the others.
        data = self.data_term(zeros_unless(usable, y), physics, fidelity)
        x = initial_image(y, physics) if x0 is None else x0
        return _run(self, data, prior, x, usable & all_finite(x), callback)

    def data_term(self, y: Tensor, physics: LinearPhysics, fidelity: DataFidelity | None) -> DataTerm:
        """Return the data term as this solver needs it.

        Raises:
            InputError: an unknown norm, or a data term that this solver does not take.
        """
        data = data_term(y, physics, fidelity, lipschitz=self.lipschitz, needs_norm=self.needs_norm)
        if self.needs_least_squares and not data.quadratic:
            raise InputError(
                f"{type(self).__name__} takes least squares only, not {type(fidelity).__name__}: use NMAPG or "
                "PrimalDual"
            )
        return data


def check_arguments(y: object, physics: object, prior: object, fidelity: object, x0: object) -> None:
    """Refuse what only resembles an argument of a solver.

    Raises:
        InputError: it is of another type, or ``x0`` is no batch of as many images as ``y``.
    """
    for name, value, kind, advice in (
        ("y", y, Tensor, "a tensor of measurements, batch first"),
        ("physics", physics, LinearPhysics, "a deepinv.physics.LinearPhysics"),
        (
            "prior",
            prior,
            LearnedProx,
            "a learned prox, as of gradprox.load_model; deepinv.optim takes others",
        ),
        ("fidelity", fidelity, DataFidelity | None, "a deepinv.optim.DataFidelity"),
        ("x0", x0, Tensor | None, "a tensor of images"),
    ):
        if not isinstance(value, kind):
            raise InputError(f"{name}: expected {advice}, got {type(value).__name__}")
    if isinstance(y, Tensor) and isinstance(x0, Tensor) and (x0.ndim != 4 or len(x0) != len(y)):
        raise InputError(
            f"x0: expected images (B, C, H, W), one for each of the {len(y)} measurements, got {tuple(x0.shape)}"
        )


def _run(
    solver: Solver[S],
    data: DataTerm,
    prior: LearnedProx,
    x0: Tensor,
    running: Tensor,
    callback: Callback | None,
) -> Result:
    batch, budget, device = x0.shape[0], solver.max_iter, x0.device
    active = torch.arange(batch, device=device)
    state = solver.start(data, prior, zeros_unless(running, x0))
    kind: dict[str, Any] = {"dtype": state.objective.dtype, "device": device}
    final = x0.clone()
    status = [solver.out_of_steps if usable else Status.NON_FINITE for usable in running.tolist()]
    steps = torch.where(running, budget, 0)
    objective = torch.full((batch, budget + 1), torch.nan, **kind)
    residuals = torch.full((batch, budget), torch.nan, **kind)
    increases = torch.zeros(batch, dtype=torch.long, device=device)
    objective[running, 0] = state.objective[running]
    # What no certified solver can exceed, whatever the image: far more than the first known merit, and terms that
    # blow up though their sum falls. Images have values around 1.
    ceiling = state.merit + state.magnitude
    largest = BLOW_UP * (state.magnitude + x0[0].numel())
    splits = data.splits()

    for number in range(1, budget + 1):
        everyone = bool(running.all())
        if not everyone:
            if not bool(running.any()):
                break
            if splits:
                keep = running.nonzero()[:, 0]
                state, data = select(state, keep), data.select(keep)
                active, running = active[keep], running[keep]
                ceiling, largest, everyone = ceiling[keep], largest[keep], True
        new = solver.step(data, prior, state)
        residual = relative_change(new.x, state.x)
        finite, diverged = torch.isfinite(residual), torch.zeros_like(running)
        if solver.certified:
            finite &= torch.isfinite(new.objective)
            diverged = (new.merit > ceiling) | (new.magnitude > largest)
            if number == 1:  # where the start has no objective
                ceiling = torch.where(ceiling.isnan(), new.merit + new.magnitude, ceiling)
                largest = torch.where(largest.isnan(), BLOW_UP * (new.magnitude + x0[0].numel()), largest)
        who = slice(None) if everyone else running
        now = active[who]
        objective[now, number] = new.objective[who]
        residuals[now, number - 1] = residual[who].to(residuals)
        raised = new.merit > state.merit + rounding(state, new)
        if bool(raised.any()):
            increases[now] += raised[who]
        if callback:
            seen = new if everyone else select(new, running.nonzero()[:, 0])
            callback(Step(number, now, seen, residual[who]))
        sound = finite & ~diverged
        stops = running & ((residual <= solver.tol) | ~sound)
        if bool(stops.any()):
            for index in stops.nonzero()[:, 0].tolist():
                image = int(active[index])
                steps[image] = number
                final[image] = (new if sound[index] else state).x[index]
                if not finite[index]:
                    status[image] = Status.NON_FINITE
                else:
                    status[image] = Status.DIVERGED if diverged[index] else Status.CONVERGED
            running = running & ~stops
        state = new
    final[active[running]] = state.x[running]
    longest = int(steps.max())
    return Result(
        final, status, steps, objective[:, : longest + 1], residuals[:, :longest], increases, solver.certified
    )


def rounding(state: State, new: State) -> Tensor:
    """Return how far rounding may move the difference of two states' objectives, ``(B,)``."""
    return ROUNDING_UNITS * torch.finfo(state.x.dtype).eps * (new.magnitude + state.magnitude)


def zeros_unless(usable: Tensor, values: Tensor) -> Tensor:
    """Return the batch ``values`` with zeros for the entries where ``usable``, ``(B,)``, does not hold."""
    return values if bool(usable.all()) else torch.where(per_image(usable, values), values, 0)


def all_finite(values: Tensor) -> Tensor:
    """Return which entries of a batch hold finite values only, ``(B,)``."""
    return torch.isfinite(values).flatten(1).all(dim=1)


def relative_change(new: Tensor, old: Tensor) -> Tensor:
    """Return ``|new - old| / |new|`` of each image, ``(B,)``; 0 where nothing changed."""
    change = torch.linalg.vector_norm((new - old).flatten(1), dim=1)
    size = torch.linalg.vector_norm(new.flatten(1), dim=1)
    return change / size.clamp_min(torch.finfo(new.dtype).tiny)
