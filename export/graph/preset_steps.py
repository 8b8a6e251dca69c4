"""Presets as torch modules: their schedules, and the steps of a continuation."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor, nn

from gradprox.export.graph.recipe import GraphRule, Recipe, SensingRecipe
from gradprox.solvers.continuation import carried_on, falling_level, mirrored
from gradprox.solvers.presets import PROXIMAL
from gradprox.solvers.state import relative_change


class Schedule(nn.Module):
    """The settings of all steps or solvers of a preset.

    Args:
        recipe: the numbers of the preset.
    """

    def __init__(self, recipe: Recipe | SensingRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.rule = GraphRule(**asdict(recipe.rule))

    def forward(self, noise: Tensor, strength: Tensor) -> tuple[Tensor, ...]:
        """Return noise levels and weights of the warm start, its length, and both for the last solver.

        The length is a scalar, the number of steps or solvers: 0 where the last level is not below the first.
        """
        recipe, noise, strength = self.recipe, noise.double(), strength.double()
        sigma = self.rule.sigma(noise)
        shares = torch.arange(recipe.stages, dtype=torch.float64) / recipe.stages
        levels = falling_level(recipe.first_sigma, sigma, shares)
        count = recipe.stages * (sigma < recipe.first_sigma).long()[0]
        weights, weight = (strength * self.rule.lambda_reg(noise, level) for level in (levels, sigma))
        # Proximal solvers have no weight: the strength multiplies the noise level of their prior.
        levels, sigma = (
            strength * level if solver in PROXIMAL else level
            for solver, level in ((recipe.warm_solver, levels), (recipe.solver, sigma))
        )
        return levels.float(), weights, count, sigma.float(), weight


class Level(nn.Module):
    """The settings of one step of a continuation."""

    def forward(self, levels: Tensor, weights: Tensor, number: Tensor, going: Tensor) -> tuple[Tensor, ...]:
        """Return the noise level, ``(1,)``, and the weights, ``(B,)``, of the step ``number``, a scalar, from 0."""
        place = number.reshape(1)
        return levels.index_select(0, place), weights.index_select(0, place).expand(going.shape[0]).clone()


class Stage(nn.Module):
    """The settings of one solver of a warm start.

    Args:
        recipe: the numbers of the preset.
    """

    def __init__(self, recipe: SensingRecipe) -> None:
        super().__init__()
        self.register_buffer("steps", torch.tensor(recipe.steps))
        self.steps: Tensor

    def forward(self, levels: Tensor, weights: Tensor, number: Tensor) -> tuple[Tensor, ...]:
        """Return noise level and weight, ``(1,)``, and the steps, a scalar, of the solver ``number``, from 0."""
        place = number.reshape(1)
        steps = self.steps.index_select(0, place)[0]
        return levels.index_select(0, place), weights.index_select(0, place), steps


class WarmStart(nn.Module):
    """The part before a warm start."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return that every image goes on, and no steps, each ``(B,)``."""
        steps = torch.zeros(x.shape[0], dtype=torch.long)
        return steps == 0, steps.clone()


class Mirror(nn.Module):
    """The mirror images that a step of a continuation denoises."""

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        """Return those of ``x``; ``number`` is that of the step, a scalar, from 0."""
        return mirrored(x, number)


class WarmEnd(nn.Module):
    """The end of a step of a continuation.

    Args:
        momentum: that of the continuation.
    """

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum

    def forward(self, new: Tensor, x: Tensor, going: Tensor, warm_steps: Tensor) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next images, their carried-on forms, which go on, and their steps.

        As in the driver of the solvers, an image stops where a step changes nothing at all or is not finite.
        """
        residual = relative_change(new, x)
        finite = torch.isfinite(residual)
        kept = torch.where((going & finite)[:, None, None, None], new, x)
        goes_on = going & finite & (residual > 0)
        ahead = carried_on(kept, x, self.momentum)
        return goes_on.any(), kept, ahead, goes_on, warm_steps + going.long()
