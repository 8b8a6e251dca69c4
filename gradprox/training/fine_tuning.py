"""The recipe of the common case: a trained model learns a new kind of image."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pydantic import ValidationError

from gradprox.errors import InputError
from gradprox.images import images_in, read_pages
from gradprox.networks import IdentityPath
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.denoisers.mixture import HierarchicalMixture
from gradprox.training.noisy_images import NOISY_SUFFIXES
from gradprox.training.recipe import Recipe
from gradprox.zoo import load_model
from gradprox.zoo.models import PROX

STEPS = 400
VALIDATIONS = 10


def fine_tuning(initial: str, steps: int = STEPS) -> Recipe:
    """Return a recipe that goes on with a model: some minutes on a CPU for the quick models.

    Args:
        initial: the name of a shipped model, or a model file.
        steps: number of optimizer steps.

    Raises:
        InputError: there is no such model.

    Example:
        >>> fine_tuning("gray-fast").steps
        400
    """
    network = cast(ImageNetwork, load_model(initial).network)
    # Tables of probabilities need longer steps than filters.
    mixture = isinstance(network, IdentityPath) and isinstance(network.shrinkage, HierarchicalMixture)
    return Recipe(
        name="fine-tuned",
        network=network.config,
        initial=initial,
        steps=steps,
        batch_size=4,
        patch_size=64,
        learning_rate=0.01 if mixture else 1e-3,
        rate_factors={"bank": 0.03} if mixture else {},
        warmup=min(50, max(1, steps // 10)),
        checkpoint_every=50,
        validate_every=max(1, steps // VALIDATIONS),
    )


def default_initial(folder: str | Path) -> str:
    """Return the quick shipped model for the first image of a folder: ``gray-fast`` or ``color-fast``.

    Raises:
        InputError: there is no image, or it is unreadable.
    """
    path = images_in(folder, NOISY_SUFFIXES)[0]
    return PROX[read_pages(path)[0].pixels.shape[1]]


def without_clean_images(recipe: Recipe, noise: float | str | None) -> Recipe:
    """Return the recipe for noisy training images.

    Args:
        recipe: for clean images.
        noise: see `Recipe.noise`; None if its distribution is unknown.

    Raises:
        InputError: the recipe has settings that noisy images exclude, or the noise is none.
    """
    change = {"loss": "neighbor2neighbor"} if noise is None else {"loss": "sure", "noise": noise}
    try:
        return Recipe.model_validate(recipe.model_dump() | change)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"recipe {recipe.name}: cannot be used with noisy images: {reason}") from error
