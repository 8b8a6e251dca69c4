"""How weights change in a step: learning rates, gradient clipping, Adam, and the average of the weights."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch
from torch import nn

from gradprox.errors import InputError
from gradprox.training.recipe import Recipe

Network = TypeVar("Network", bound=nn.Module)


def adam(network: nn.Module, recipe: Recipe) -> torch.optim.Adam:
    """Return the optimizer of a recipe.

    Raises:
        InputError: no parameter's name contains a word of ``rate_factors``.
    """
    return torch.optim.Adam(parameter_groups(network, recipe), lr=recipe.learning_rate, betas=(0.9, 0.99))


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the trained parameters, one group for each factor of the learning rate.

    Raises:
        InputError: no parameter's name contains a word of ``rate_factors``.
    """
    groups: dict[str, list[nn.Parameter]] = {"": [], **{word: [] for word in recipe.rate_factors}}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[next((word for word in recipe.rate_factors if word in name), "")].append(parameter)
    for word in recipe.rate_factors:
        if not groups[word]:
            raise InputError(f"rate_factors: no parameter of {recipe.name} has {word!r} in its name")
    return [
        {"params": parameters, "factor": recipe.rate_factors.get(word, 1.0)}
        for word, parameters in groups.items()
        if parameters
    ]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: a linear rise, then half a cosine down to a hundredth."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    fall = 0.01 + 0.99 * (1 + math.cos(math.pi * step / recipe.steps)) / 2
    return recipe.learning_rate * rise * fall


def update(optimizer: torch.optim.Adam, recipe: Recipe, step: int) -> None:
    """Change the weights by the gradients that they hold."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = group["factor"] * learning_rate(recipe, step)
    optimizer.step()


def averaged_copy(network: Network, recipe: Recipe) -> Network | None:
    """Return a copy of the network to hold the average of its weights; None if the recipe asks for none."""
    return None if recipe.ema is None else copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the weights after ``step + 1`` steps: ``a <- d a + (1 - d) w``.

    The decay ``d`` rises to ``decay`` as ``(step + 1) / (step + 10)``, so that the initial weights are soon forgotten.
    """
    decay = min(decay, (step + 1) / (step + 10))
    for kept, current in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(current, 1 - decay)
