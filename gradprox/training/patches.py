"""Training patches: a pure function of the seed and the step, so that a resumed run draws the same patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradprox.priors.probing import random_signs
from gradprox.training.recipe import Recipe
from gradprox.training.stored_images import on_unit_scale


@dataclass(frozen=True)
class Batch:
    """Noisy patches and their clean originals.

    Attributes:
        noisy: ``(B, C, P, P)``, ``C`` the channels of the network.
        clean: ``(B, C, P, P)`` in ``[0, 1]``.
        sigma: ``(B,)`` noise levels.
        number: of the batch; a repeated batch keeps its number.
    """

    noisy: Tensor
    clean: Tensor
    sigma: Tensor
    number: int


@dataclass(frozen=True)
class NoisyBatch:
    """Noisy patches without clean originals.

    Attributes:
        noisy: ``(B, C, P, P)``, ``C`` the channels of the network.
        signs: ``(B, C, P, P)`` random signs, see `gradprox.training.unsupervised.sure`.
        sigma: ``(B,)`` noise levels.
        number: of the batch; a repeated batch keeps its number.
    """

    noisy: Tensor
    signs: Tensor
    sigma: Tensor
    number: int


class PatchSampler:
    """Draws patches from images held in memory.

    Args:
        images: as `gradprox.training.stored_images.read_stored` returns them, each at least as large as a patch.
        recipe: sizes, noise levels and seed.
        flips: flip patches at random. Networks that commute with flips learn nothing from it.
    """

    def __init__(self, images: Sequence[Tensor], recipe: Recipe, *, flips: bool = False) -> None:
        self.images, self.recipe, self.flips = images, recipe, flips

    def batch(self, step: int) -> Batch:
        """Return the batch of a step: always the same for the same seed, step and images."""
        recipe, number = self.recipe, self.number(step)
        generator = seeded(recipe.seed, number)
        clean = self.clean(generator)
        low, high = recipe.noise_range
        uniform = torch.rand(recipe.batch_size, generator=generator)
        sigma = low + (high - low) * uniform**recipe.noise_power
        noise = torch.randn(clean.shape, generator=generator)
        return Batch(clean + sigma[:, None, None, None] * noise, clean, sigma, number)

    def clean(self, generator: torch.Generator) -> Tensor:
        """Draw as many clean patches as a batch has, ``(B, C, P, P)``."""
        return self.drawn(generator)[0]

    def drawn(self, generator: torch.Generator) -> tuple[Tensor, list[int]]:
        """Draw as many patches as a batch has, ``(B, C, P, P)``, and say of which images they are."""
        patches, places = zip(*(self._patch(generator) for _ in range(self.recipe.batch_size)), strict=True)
        return torch.stack(patches), list(places)

    def number(self, step: int) -> int:
        """Return the number of a step's batch: a new one, or one that is repeated, in another order every round."""
        count = self.recipe.repeated_batches
        if count is None:
            return step
        turn, place = divmod(step, count)
        return int(np.random.default_rng([self.recipe.seed, turn]).permutation(count)[place])

    def _patch(self, generator: torch.Generator) -> tuple[Tensor, int]:
        def draw(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        place, size = draw(len(self.images)), self.recipe.patch_size
        image = self.images[place]
        top, left = draw(image.shape[1] - size + 1), draw(image.shape[2] - size + 1)
        patch = on_unit_scale(image[:, top : top + size, left : left + size])
        if draw(2):
            patch = patch.mT
        if self.flips:
            patch = patch.flip([axis for axis in (-2, -1) if draw(2)])
        return patch, place


class NoisyPatchSampler:
    """Draws patches from noisy images held in memory.

    Args:
        patches: draws them.
        levels: the noise level of each image.
    """

    def __init__(self, patches: PatchSampler, levels: Sequence[float]) -> None:
        self.patches, self.levels = patches, torch.tensor(levels)

    def batch(self, step: int) -> NoisyBatch:
        """Return the batch of a step: always the same for the same seed, step and images."""
        number = self.patches.number(step)
        generator = seeded(self.patches.recipe.seed, number)
        noisy, places = self.patches.drawn(generator)
        return NoisyBatch(noisy, random_signs(noisy, generator), self.levels[places], number)


def seeded(*numbers: int) -> torch.Generator:
    """Return a random generator that follows from whole numbers, for example a seed and a step."""
    return torch.Generator().manual_seed(seed_of(*numbers))


def seed_of(*numbers: int) -> int:
    """Return a seed that follows from whole numbers."""
    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(seed >> np.uint64(1))
