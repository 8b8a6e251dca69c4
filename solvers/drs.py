"""Plug-and-play Douglas-Rachford splitting with an exact envelope (see `douglas_rachford` for its proof)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.douglas_rachford import SplittingState, check_stepsize, splitting_state, splitting_step
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_positive, number
from gradprox.solvers.solver import Solver


@named_settings
@dataclass(frozen=True, kw_only=True)
class DRS(Solver[SplittingState]):
    """Plug-and-play Douglas-Rachford splitting of ``tau f`` and ``phi``.

    As in `PGD`, ``sigma`` sets the strength of the prior, and the step size acts on it too. The objective is the
    Douglas-Rachford envelope of ``tau f + phi``, and equals this function at fixed points.

    Attributes:
        stepsize: ``tau``; ``0.95/L_f`` if not given. Must be below ``1/L_f``.
        relaxation: between 0 and 2.
    """

    stepsize: float | None = None
    relaxation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stepsize is not None:
            check_positive("stepsize", self.stepsize)
        if not 0 < number("relaxation", self.relaxation) < 2:
            raise InputError(f"relaxation must be between 0 and 2, got {self.relaxation:g}")

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> SplittingState:
        """See `Solver.start`."""
        check_stepsize(self.stepsize, data)
        return splitting_state(data, prior, self.sigma, self.stepsize, x)

    def step(self, data: DataTerm, prior: Prior, state: SplittingState) -> SplittingState:
        """See `Solver.step`."""
        return splitting_step(data, prior, self.sigma, self.stepsize, self.relaxation, state)
