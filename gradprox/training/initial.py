"""The network that a training starts from: new, or with the weights of a trained one as far as they fit.

The classes of networks know how to take over weights; this module only decides which ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.networks import GradientNetwork, IdentityPath
from gradprox.networks.denoisers.config import ImageNetwork, build
from gradprox.networks.denoisers.mixture import HierarchicalMixture
from gradprox.training.components import fit_components
from gradprox.training.frames import most_distinct, tighten
from gradprox.training.recipe import Recipe
from gradprox.zoo import load_model


def initial_network(
    recipe: Recipe, images: Sequence[Tensor] = (), levels: Sequence[float] = ()
) -> ImageNetwork:
    """Return the network of a recipe before its first step.

    Args:
        recipe: the training.
        images: training images, ``(C, H, W)`` (see `stored_images`), to which the components of a mixture are fitted;
            if there are none, the components stay random.
        levels: noise levels of the images; they are clean if not given.

    Raises:
        InputError: the recipe starts from a model that is missing or does not fit.
    """
    # Random weights follow from the recipe too. The caller's random state is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build(recipe.network)
    trained = load_model(recipe.initial).network if recipe.initial else None
    try:
        if trained is not None and getattr(trained, "config", None) == network.config:
            network.load_state_dict(trained.state_dict())
        elif isinstance(network, IdentityPath) and isinstance(network.shrinkage, HierarchicalMixture):
            _start_mixture(network, trained, images, recipe.seed, levels)
        elif trained is not None:
            network.take_over(trained)
    except ValueError as error:
        raise InputError(
            f"{recipe.initial or recipe.name}: another architecture than the recipe's, which cannot start this "
            f"training: {error}"
        ) from error
    return network


def _start_mixture(
    network: IdentityPath,
    trained: GradientNetwork | None,
    images: Sequence[Tensor],
    seed: int,
    levels: Sequence[float],
) -> None:
    """Take the filters of a trained network, or new ones, and fit the mixture components to the images.

    If fewer filters are wanted, the most distinct ones are kept. Filters are stored with the norms that they are
    applied with, so that a learning rate means the same for all of them.
    """
    if trained is not None and not isinstance(trained, IdentityPath):
        raise ValueError(f"{type(trained).__name__} networks have no filter bank")
    bank, pairs = network.bank, network.bank.pairs
    source = bank if trained is None else trained.bank
    complete = network.config.kernel_size**2 // 2 if trained is None else source.pairs
    if source.pairs > pairs:
        bank.take_over(most_distinct(source, pairs))
    else:
        bank.take_over(source.filters().detach()[: source.pairs, 0])
    if pairs < complete:
        tighten(bank)
    if images:
        fit_components(network, images, seed, levels)
