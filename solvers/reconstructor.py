"""A solver and its prior as a `deepinv.models.Reconstructor`, for deepinv's training, testing and comparison tools."""

from __future__ import annotations

from typing import Any

from deepinv.models import Reconstructor
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.operators import LearnedProx
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Solver


class SolverReconstructor(Reconstructor):
    """Reconstructs by a solver: ``model(y, physics)``.

    Nothing is differentiated: what comes out has no gradient.

    Args:
        solver: the algorithm and its settings.
        prior: the learned prox, a submodule, so that ``model.to(device)`` moves it.
        fidelity: the data term; ``|A x - y|^2 / 2`` if not given.
    """

    def __init__(self, solver: Solver[Any], prior: LearnedProx, fidelity: DataFidelity | None = None) -> None:
        super().__init__()
        self.solver = solver
        self.prior = prior
        self.fidelity = fidelity

    def forward(self, y: Tensor, physics: LinearPhysics, **_: object) -> Tensor:
        """Return the pictures, ``(B, C, H, W)``; see `Solver.__call__`."""
        return self.reconstruct(y, physics).x

    def reconstruct(self, y: Tensor, physics: LinearPhysics) -> Result:
        """Return the pictures with their record."""
        return self.solver(y, physics, self.prior, fidelity=self.fidelity)
