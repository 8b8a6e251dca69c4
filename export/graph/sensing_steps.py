"""The preset of compressed sensing as torch modules: FISTA at falling noise levels, cut into parts.

The formulas are those of `gradprox.solvers`. A step of FISTA that raises the objective is replaced by a plain step, for
which the network is computed a second time; ONNX nodes join the parts so that this happens only where it is needed.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor, nn

from gradprox.batch import per_image
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.recipe import GraphRule, SensingRecipe
from gradprox.export.graph.solver_steps import MAX_ITER, GraphPrior, judge
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.solvers.continuation import falling_level
from gradprox.solvers.fista import INERTIA, extrapolation
from gradprox.solvers.forward_backward import forward_backward
from gradprox.solvers.least_squares import LeastSquares


class Schedule(nn.Module):
    """The noise levels of all solvers of the preset.

    Args:
        recipe: the numbers of the preset.
    """

    def __init__(self, recipe: SensingRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.rule = GraphRule(**asdict(recipe.rule))

    def forward(self, noise: Tensor, strength: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the noise levels of the warm start, the number of its solvers, a scalar, and the last level.

        The number is 0 where the last level is not below the first.
        """
        stages = len(self.recipe.steps)
        sigma = self.rule.sigma(noise.double())
        shares = torch.arange(stages, dtype=torch.float64) / stages
        levels = falling_level(self.recipe.first_sigma, sigma, shares)
        count = stages * (sigma < self.recipe.first_sigma).long()[0]
        return (strength * levels).float(), count, (strength * sigma).float()


class Stage(nn.Module):
    """The beginning of one solver.

    Args:
        recipe: the numbers of the preset.
    """

    def __init__(self, recipe: SensingRecipe) -> None:
        super().__init__()
        self.register_buffer("steps", torch.tensor(recipe.steps))
        self.steps: Tensor

    def forward(self, levels: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Return the noise level, ``(1,)``, and the steps, a scalar, of the solver ``number``, from 0."""
        place = number.reshape(1)
        return levels.index_select(0, place), self.steps.index_select(0, place)[0]


class Reset(nn.Module):
    """The state of a solver before its first step, as far as it is new."""

    def forward(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        """Return the images and the gradient one step earlier, the objective, the momentum and the status."""
        status = torch.zeros(x.shape[0], dtype=torch.long)
        zeros = status.double()
        return x.clone(), gradient.clone(), zeros + torch.nan, zeros, status.clone()


class Measured(nn.Module):
    """Base of the parts that apply the measurements.

    Args:
        problem: the measurements.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.operator = problem.operator(torch.empty(0))

    def data(self, y: Tensor) -> LeastSquares:
        """Return the data term."""
        return LeastSquares(y, self.operator, self.operator.squared_norm())


class FirstGradient(Measured):
    """The part before the first solver."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``grad f(x)``, and no steps, ``(B,)``."""
        return self.data(y).value_and_gradient(x)[1], torch.zeros(x.shape[0], dtype=torch.long)


class Extrapolate(nn.Module):
    """The point from which a step is taken."""

    def forward(
        self, x: Tensor, gradient: Tensor, before: Tensor, gradient_before: Tensor, momentum: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the point, and the gradient there."""
        return extrapolation(x, before, gradient, gradient_before, momentum, INERTIA)


class ForwardBackward(Measured):
    """One step of proximal gradient descent.

    Args:
        problem: the measurements.
        network: the network of the prior, in single precision.
    """

    def __init__(self, problem: Problem, network: ImageNetwork) -> None:
        super().__init__(problem)
        self.prior = GraphPrior(network.export_form())

    def forward(self, point: Tensor, slope: Tensor, sigma: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return the images after a step from ``point``, the gradient there, and the objective, ``(B,)``."""
        new = forward_backward(self.data(y), self.prior, sigma, None, point, slope)
        return new.x, new.gradient, new.objective


class Compare(nn.Module):
    """The comparison of the objective with that before."""

    def forward(self, found: Tensor, objective: Tensor, status: Tensor) -> tuple[Tensor, Tensor]:
        """Return which running images have a larger objective than before, ``(B,)``, and whether any has."""
        worse = (status == MAX_ITER) & (found > objective)
        return worse, worse.any()


class Choose(nn.Module):
    """The replacement of steps that raise the objective."""

    def forward(
        self,
        worse: Tensor,
        plain: Tensor,
        plain_slope: Tensor,
        plain_objective: Tensor,
        new: Tensor,
        new_slope: Tensor,
        found: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the images after the step, the gradient there, and the objective."""
        chosen = per_image(worse, new)
        return (
            torch.where(chosen, plain, new),
            torch.where(chosen, plain_slope, new_slope),
            torch.where(worse, plain_objective, found),
        )


class Record(nn.Module):
    """The end of a step: the decision which images stop."""

    def forward(
        self,
        worse: Tensor,
        new: Tensor,
        new_slope: Tensor,
        found: Tensor,
        x: Tensor,
        gradient: Tensor,
        before: Tensor,
        gradient_before: Tensor,
        objective: Tensor,
        momentum: Tensor,
        status: Tensor,
        steps: Tensor,
        tol: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next state, and one row of each history, ``(B,)``."""
        result = judge(new, x, found, status, steps, tol)
        accepted, flat = result.accepted, result.accepted[:, 0, 0, 0]
        return (
            result.go_on,
            torch.where(accepted, new, x),
            torch.where(accepted, new_slope, gradient),
            torch.where(accepted, x, before),
            torch.where(accepted, gradient, gradient_before),
            torch.where(flat, found, objective),
            torch.where(worse, 1.0, momentum + 1).double(),
            result.status,
            result.steps,
            result.objective,
            result.residual,
        )
