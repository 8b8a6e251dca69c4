"""Training patches that are a pure function of the seed and the step, so that a resumed run repeats nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.images import read_color, read_gray
from gradprox.training.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """Noisy patches and what they should become.

    Attributes:
        noisy: ``(B, C, P, P)``, ``C`` the channels of the network.
        clean: ``(B, C, P, P)`` in ``[0, 1]``.
        sigma: ``(B,)`` noise levels.
        number: which batch this is: the same again has the same number.
    """

    noisy: Tensor
    clean: Tensor
    sigma: Tensor
    number: int


def image_reader(recipe: Recipe) -> Callable[[Path], Tensor]:
    """Return what reads an image with as many channels as the recipe's network has."""
    return read_gray if recipe.network.channels == 1 else read_color


class PatchSampler:
    """Draws patches from images held in memory, one byte a sample.

    Args:
        paths: images; color ones become gray for a gray network, gray ones get three equal channels otherwise.
        recipe: sizes, noise levels and seed.

    Raises:
        InputError: an image is unreadable or smaller than a patch.
    """

    def __init__(self, paths: Sequence[Path], recipe: Recipe) -> None:
        self.recipe = recipe
        read = image_reader(recipe)
        self.images = [(read(path)[0] * 255).round().to(torch.uint8) for path in paths]
        for path, image in zip(paths, self.images, strict=True):
            if min(image.shape[1:]) < recipe.patch_size:
                raise InputError(
                    f"{path}: {image.shape[1]}x{image.shape[2]} is smaller than a "
                    f"{recipe.patch_size}-pixel patch: remove it or choose a smaller patch_size"
                )

    def batch(self, step: int) -> Batch:
        """Return the batch of a step: always the same for the same seed, step and images."""
        recipe, number = self.recipe, self._number(step)
        (seed,) = np.random.SeedSequence([recipe.seed, number]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
        patches = torch.stack([self._patch(generator) for _ in range(recipe.batch_size)])
        clean = patches.float() / 255
        low, high = recipe.noise_range
        uniform = torch.rand(recipe.batch_size, generator=generator)
        sigma = low + (high - low) * uniform**recipe.noise_power
        noise = torch.randn(clean.shape, generator=generator)
        return Batch(clean + sigma[:, None, None, None] * noise, clean, sigma, number)

    def _number(self, step: int) -> int:
        """Return which batch a step takes: a new one, or one of those that come again, in another order every round."""
        count = self.recipe.repeated_batches
        if count is None:
            return step
        turn, place = divmod(step, count)
        return int(np.random.default_rng([self.recipe.seed, turn]).permutation(count)[place])

    def _patch(self, generator: torch.Generator) -> Tensor:
        def draw(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        image, size = self.images[draw(len(self.images))], self.recipe.patch_size
        top, left = draw(image.shape[1] - size + 1), draw(image.shape[2] - size + 1)
        patch = image[:, top : top + size, left : left + size]
        # The network commutes with flips already; transposing is what it can still learn from.
        return patch.mT if draw(2) else patch
