"""The images of a training: clean or noisy, for the steps and for the validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gradprox.images import images_in
from gradprox.training.noisy_images import NOISY_SUFFIXES, read_noisy
from gradprox.training.patches import NoisyPatchSampler, PatchSampler
from gradprox.training.recipe import Recipe
from gradprox.training.stored_images import on_unit_scale, read_stored
from gradprox.training.unsupervised import is_unsupervised
from gradprox.training.validation import CleanValidation, NoisyValidation, Validation

# The number of noisy training images that are judged if no others are given.
JUDGED = 8


@dataclass(frozen=True)
class TrainingData:
    """The images of a training.

    Attributes:
        images: ``(C, H, W)``, see `stored_images`.
        levels: the noise level of each; empty if they are clean.
        validation: how networks are judged, if they are.
    """

    images: Sequence[Tensor]
    levels: Sequence[float]
    validation: Validation | None

    def sampler(self, recipe: Recipe, *, flips: bool) -> PatchSampler | NoisyPatchSampler:
        """Return what draws the batches; see `PatchSampler`."""
        patches = PatchSampler(self.images, recipe, flips=flips)
        return NoisyPatchSampler(patches, self.levels) if self.levels else patches


def paths_in(folder: str | Path, recipe: Recipe) -> list[Path]:
    """Return the image files of a folder; noisy images may also be arrays.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    return images_in(folder, NOISY_SUFFIXES) if is_unsupervised(recipe.loss) else images_in(folder)


def read_data(
    recipe: Recipe, paths: Sequence[Path], validation: str | Path | None, device: torch.device | str
) -> TrainingData:
    """Read the images of a training.

    Args:
        recipe: the training.
        paths: of the training images.
        validation: folder of held-out images. Without it, some of the noisy training images are judged themselves, and
            clean ones are not.
        device: where the validation computes.

    Raises:
        InputError: an image cannot be used.
    """
    channels, held_out = recipe.network.channels, paths_in(validation, recipe) if validation else []
    if not is_unsupervised(recipe.loss):
        images = [read_stored(path, channels, recipe.patch_size) for path in paths]
        clean = [on_unit_scale(read_stored(path, channels))[None] for path in held_out]
        names = [path.name for path in held_out]
        judge = CleanValidation(clean, names, recipe.validation_levels, device) if clean else None
        return TrainingData(images, (), judge)
    noisy = read_noisy(paths, channels, recipe.noise, recipe.patch_size)
    judged = read_noisy(held_out, channels, recipe.noise) or noisy[:: -(-len(noisy) // JUDGED)]
    levels = [image.level for image in noisy]
    return TrainingData(
        [image.pixels for image in noisy], levels, NoisyValidation(judged, recipe.loss, device)
    )
