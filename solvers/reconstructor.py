"""A solver and its prior as a `deepinv.models.Reconstructor`, for deepinv's training and testing tools."""

from __future__ import annotations

from typing import Any

from deepinv.models import Reconstructor
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.priors import GradientStepDenoiser, LearnedProx
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Solver
from gradprox.solvers.unrolling import unrolled


class SolverReconstructor(Reconstructor):
    """Reconstructs with a solver: ``model(y, physics)``.

    In evaluation mode the solver runs to its end, and nothing is differentiated. In training mode
    (``model.train()``) with ``training_steps`` set, it takes this number of steps, differentiable in the weights of the
    prior (see `unrolled`), as `deepinv.Trainer` needs.

    Args:
        solver: the algorithm and its settings.
        prior: the denoiser, registered as a submodule, so that ``model.to(device)`` moves it.
        fidelity: the data term; ``|A x - y|^2 / 2`` if not given.
        training_steps: number of steps in training mode; as in evaluation mode if not given.
    """

    def __init__(
        self,
        solver: Solver[Any],
        prior: LearnedProx | GradientStepDenoiser,
        fidelity: DataFidelity | None = None,
        *,
        training_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.solver = solver
        self.prior = prior
        self.fidelity = fidelity
        self.training_steps = training_steps

    def forward(self, y: Tensor, physics: LinearPhysics, **_: object) -> Tensor:
        """Return the images, ``(B, C, H, W)``; see `Solver.__call__`."""
        if self.training and self.training_steps is not None:
            return unrolled(
                self.solver, y, physics, self.prior, steps=self.training_steps, fidelity=self.fidelity
            )
        return self.reconstruct(y, physics).x

    def reconstruct(self, y: Tensor, physics: LinearPhysics) -> Result:
        """Return the images together with the record of the run."""
        return self.solver(y, physics, self.prior, fidelity=self.fidelity)
