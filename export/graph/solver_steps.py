"""A solver as torch modules: the part before its loop, and one step.

The formulas are those of `gradprox.solvers`: its functions are traced, and none is written a second time. Graphs check
no settings; `gradprox.export.runtime.OnnxSolver` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gradprox.export.graph.problem import Problem
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import NetworkPrior, Prior
from gradprox.priors.contract import Sigma
from gradprox.solvers.forward_backward import ForwardBackwardState, forward_backward, starting_state
from gradprox.solvers.gd import descend
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.smooth_objective import SmoothState, smooth_state
from gradprox.solvers.state import relative_change

MAX_ITER, CONVERGED, NON_FINITE, STALLED = range(4)  # the order of `gradprox.export.runtime.solver.STATUS`


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
        found = judge(new.x, x, new.objective, status, steps, tol)
        return (
            found.go_on,
            torch.where(found.accepted, new.x, x),
            torch.where(found.accepted, new.gradient, gradient),
            found.status,
            found.steps,
            found.objective,
            found.residual,
        )


class Judgment(NamedTuple):
    """What follows from a step, per image.

    Attributes:
        go_on: whether any image takes a further step, a scalar.
        accepted: whether the new image replaces the old one, ``(B, 1, 1, 1)``.
        status: 0 while an image goes on, else why it stopped, ``(B,)``.
        steps: steps taken, ``(B,)``.
        objective: the objective after this step, NaN for images that had stopped before, ``(B,)``.
        residual: the relative change of this step, likewise.
    """

    go_on: Tensor
    accepted: Tensor
    status: Tensor
    steps: Tensor
    objective: Tensor
    residual: Tensor


def judge(
    new: Tensor,
    x: Tensor,
    objective: Tensor,
    status: Tensor,
    steps: Tensor,
    tol: Tensor,
    stalled: Tensor | None = None,
) -> Judgment:
    """Decide which images stop after a step, as `gradprox.solvers.driver.run` does.

    Args:
        new: the images after the step.
        x: the images before it.
        objective: the objective after it, ``(B,)``.
        status: the statuses before it, ``(B,)``.
        steps: the step counts before it, ``(B,)``.
        tol: the tolerance, ``(1,)`` or ``(B,)``.
        stalled: the images for which no step was found, ``(B,)``; none if not given.
    """
    residual = relative_change(new, x)
    running = status == MAX_ITER
    finite = torch.isfinite(objective) & torch.isfinite(residual)
    stopped = torch.where(residual <= tol, CONVERGED, MAX_ITER)
    if stalled is not None:
        stopped = torch.where(stalled, STALLED, stopped)
    stopped = torch.where(finite, stopped, NON_FINITE)
    new_status = torch.where(running, stopped, status)
    return Judgment(
        (new_status == MAX_ITER).any(),
        # An image that has stopped stays as it is, and so does one whose step is not finite.
        (running & finite)[:, None, None, None],
        new_status,
        steps + running.long(),
        torch.where(running, objective, torch.nan),
        torch.where(running, residual.to(objective), torch.nan),
    )
