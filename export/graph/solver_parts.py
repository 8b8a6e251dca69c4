"""A solver as three torch modules: before, in and after its loop."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gradprox.export.graph.blur import GraphBlur
from gradprox.export.graph.one_piece import OnePiece
from gradprox.export.graph.problem import Operator, Problem
from gradprox.networks import IdentityPath
from gradprox.priors import LearnedProx
from gradprox.solvers.forward_backward import ForwardBackwardState, forward_backward, starting_state
from gradprox.solvers.gd import descend
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.smooth_objective import SmoothState, smooth_state
from gradprox.solvers.state import relative_change

ALGORITHMS = ("gd", "pgd")
MAX_ITER, CONVERGED, NON_FINITE = range(3)  # the order of `gradprox.export.runtime.solver.STATUS`


class GraphProx:
    """The two methods of a `LearnedProx` that a step calls, without checks that depend on values.

    Args:
        network: the network.
    """

    def __init__(self, network: OnePiece) -> None:
        self.network = network

    def denoise_with_energy(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `LearnedProx.denoise_with_energy`."""
        batch, channels, height, width = y.shape
        # A gray network takes colors one by one.
        folded = y.reshape(batch * channels, 1, height, width) if self.network.channels == 1 else y
        envelope, x = self.network.envelope_and_gradient(folded, sigma)
        return x.view(batch, channels, height, width), envelope.view(batch, -1).sum(dim=1)


class Part(nn.Module):
    """What the parts of a solver share.

    Args:
        network: the network.
        algorithm: ``"pgd"`` or ``"gd"``.
        problem: what is to be undone.
    """

    def __init__(self, network: IdentityPath, algorithm: str, problem: Problem) -> None:
        super().__init__()
        self.network = OnePiece(network)
        self.algorithm = algorithm
        self.problem = problem

    def pieces(self, y: Tensor, kernel: Tensor) -> tuple[LeastSquares, LearnedProx, Operator]:
        """Return the data term, the prior and the forward operator, as the solvers expect them."""
        operator = self.problem.operator(kernel)
        # Both stand in for what they are cast to: a step calls nothing that they lack.
        prior = cast("LearnedProx", GraphProx(self.network))
        return LeastSquares(y, operator, 1.0), prior, operator


class Start(Part):
    """Before the loop."""

    def forward(self, y: Tensor, kernel: Tensor, sigma: Tensor, strength: Tensor) -> tuple[Tensor, ...]:
        """Return the first state, and the objective there, ``(B,)``."""
        data, prior, operator = self.pieces(y, kernel)
        x = operator.initial(y)
        proximal = self.algorithm == "pgd"
        state = starting_state(data, x) if proximal else smooth_state(data, prior, sigma, strength, x)
        counters = torch.zeros(y.shape[0], dtype=torch.long)
        return state.x, state.gradient, counters, counters.clone(), state.objective


class Body(Part):
    """One step, and what the driver of the solvers does with each image after it."""

    def forward(
        self,
        x: Tensor,
        gradient: Tensor,
        status: Tensor,
        steps: Tensor,
        y: Tensor,
        kernel: Tensor,
        sigma: Tensor,
        strength: Tensor,
        stepsize: Tensor,
        tol: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return whether an image still runs, the next state, and one row of each history, ``(B,)``."""
        data, prior, _ = self.pieces(y, kernel)
        new: SmoothState | ForwardBackwardState
        if self.algorithm == "gd":
            new = descend(data, prior, sigma, strength, stepsize, x, gradient)
        else:
            # Its weight is tied to its step size: strength acts on the noise level, as in the presets.
            new = forward_backward(data, prior, sigma * strength, stepsize, x, gradient)
        residual = relative_change(new.x, x)
        running = status == MAX_ITER
        finite = torch.isfinite(new.objective) & torch.isfinite(residual)
        # An image that has stopped stays as it is; so does one whose step was not finite.
        accepted = (running & finite)[:, None, None, None]
        stopped = torch.where(finite, torch.where(residual <= tol, CONVERGED, MAX_ITER), NON_FINITE)
        new_status = torch.where(running, stopped, status)
        return (
            (new_status == MAX_ITER).any(),
            torch.where(accepted, new.x, x),
            torch.where(accepted, new.gradient, gradient),
            new_status,
            steps + running.long(),
            torch.where(running, new.objective, torch.nan),
            torch.where(running, residual.to(new.objective), torch.nan),
        )


class Finish(Part):
    """After the loop."""

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return the image in the frame of the photo."""
        return GraphBlur(kernel, self.problem.name).visible(x)
