"""A solver as torch modules: its first images, the part before its loop, one step, and the part after it.

The formulas are those of `gradprox.solvers`: its functions are traced, and none is written a second time. Graphs check
no settings; `gradprox.export.runtime.OnnxSolver` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gradprox.export.graph.blur import GraphBlur
from gradprox.export.graph.problem import Problem
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import NetworkPrior, Prior
from gradprox.priors.contract import Sigma
from gradprox.solvers.forward_backward import ForwardBackwardState, forward_backward, starting_state
from gradprox.solvers.gd import descend
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.smooth_objective import SmoothState, smooth_state
from gradprox.solvers.state import relative_change

MAX_ITER, CONVERGED, NON_FINITE = range(3)  # the order of `gradprox.export.runtime.solver.STATUS`


class Settings(NamedTuple):
    """Settings of a solver as inputs of a graph: float32, ``(1,)``.

    Attributes:
        sigma: noise level at which the learned prox is used.
        lambda_reg: weight of the regularizer; of GD only.
        stepsize: the step size.
    """

    sigma: Tensor
    lambda_reg: Tensor
    stepsize: Tensor


State = ForwardBackwardState | SmoothState


class Algorithm(ABC):
    """A solver that can be exported.

    Attributes:
        needs_prox: whether its prior must be a proximal operator.
    """

    needs_prox: bool

    @abstractmethod
    def start(self, data: LeastSquares, prior: Prior, settings: Settings, x: Tensor) -> State:
        """Return the state at the image ``x``; the step size is not used."""

    @abstractmethod
    def step(
        self, data: LeastSquares, prior: Prior, settings: Settings, x: Tensor, gradient: Tensor
    ) -> State:
        """Return the state after one step from ``x``, where the state has this gradient."""


class GradientDescent(Algorithm):
    """The steps of `gradprox.solvers.GD`."""

    needs_prox = False

    def start(self, data: LeastSquares, prior: Prior, settings: Settings, x: Tensor) -> SmoothState:
        """See `Algorithm.start`."""
        return smooth_state(data, prior, settings.sigma, settings.lambda_reg, x)

    def step(
        self, data: LeastSquares, prior: Prior, settings: Settings, x: Tensor, gradient: Tensor
    ) -> SmoothState:
        """See `Algorithm.step`."""
        return descend(data, prior, *settings, x, gradient)


class ProximalGradient(Algorithm):
    """The steps of `gradprox.solvers.PGD`."""

    needs_prox = True

    def start(
        self,
        data: LeastSquares,
        prior: Prior,  # noqa: ARG002
        settings: Settings,  # noqa: ARG002
        x: Tensor,
    ) -> ForwardBackwardState:
        """See `Algorithm.start`."""
        return starting_state(data, x)

    def step(
        self, data: LeastSquares, prior: Prior, settings: Settings, x: Tensor, gradient: Tensor
    ) -> ForwardBackwardState:
        """See `Algorithm.step`."""
        return forward_backward(data, prior, settings.sigma, settings.stepsize, x, gradient)


ALGORITHMS: dict[str, Algorithm] = {"gd": GradientDescent(), "pgd": ProximalGradient()}


class GraphPrior(NetworkPrior):
    """A prior whose input is not checked: a graph cannot raise an error that depends on values."""

    @property
    def is_prox(self) -> bool:
        """See `Prior`."""
        return self.network.monotone

    def _fold(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        levels = torch.as_tensor(sigma)
        if self.network.channels != 1:
            return y, levels
        batch, channels, height, width = y.shape
        return y.reshape(batch * channels, 1, height, width), levels


class Part(nn.Module):
    """Base of the parts.

    Args:
        network: the network of the prior.
        algorithm: one of `ALGORITHMS`.
        problem: the kind of measurement that the solver inverts.
    """

    def __init__(self, network: ImageNetwork, algorithm: str, problem: Problem) -> None:
        super().__init__()
        self.prior = GraphPrior(network.export_form())
        self.algorithm = ALGORITHMS[algorithm]
        self.problem = problem


class OwnStart(Part):
    """The first images where the caller gives none."""

    def forward(self, y: Tensor, kernel: Tensor) -> Tensor:
        """Return the start that the solvers of torch compute from the measurements."""
        # A copy: a graph may not return one of its inputs.
        return self.problem.operator(kernel).initial(y).clone()


class GivenStart(Part):
    """The first images where the caller gives them in the frame of the result."""

    def forward(self, x0: Tensor, kernel: Tensor) -> Tensor:
        """Return ``x0``, extended to the size of the unknown image."""
        return self.problem.extended(x0, kernel).clone()


class Start(Part):
    """The part before the loop."""

    def forward(
        self, start: Tensor, y: Tensor, kernel: Tensor, sigma: Tensor, lambda_reg: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the first state, and the objective there, ``(B,)``."""
        settings = Settings(sigma, lambda_reg, stepsize=sigma)
        data = LeastSquares(y, self.problem.operator(kernel), 1.0)
        state = self.algorithm.start(data, self.prior, settings, start.clone())
        counters = torch.zeros(y.shape[0], dtype=torch.long)
        return state.x, state.gradient, counters, counters.clone(), state.objective


class Body(Part):
    """One step of the loop, and the decision which images stop."""

    def forward(
        self,
        x: Tensor,
        gradient: Tensor,
        status: Tensor,
        steps: Tensor,
        y: Tensor,
        kernel: Tensor,
        sigma: Tensor,
        lambda_reg: Tensor,
        stepsize: Tensor,
        tol: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next state, and one row of each history, ``(B,)``."""
        settings = Settings(sigma, lambda_reg, stepsize)
        data = LeastSquares(y, self.problem.operator(kernel), 1.0)
        new = self.algorithm.step(data, self.prior, settings, x, gradient)
        residual = relative_change(new.x, x)
        running = status == MAX_ITER
        finite = torch.isfinite(new.objective) & torch.isfinite(residual)
        # An image that has stopped stays as it is, and so does one whose step is not finite.
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
    """The part after the loop."""

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return the image in the frame of the photo."""
        return GraphBlur(kernel, self.problem.name).visible(x)
