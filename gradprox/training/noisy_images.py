"""Noisy training images in memory, with the noise level of each. Values are kept as stored: clipping changes noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gradprox.errors import InputError
from gradprox.images import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    READ_ONLY_SUFFIXES,
    ImageData,
    check_scale,
    read_pages,
)
from gradprox.images.noise_estimation import estimate_image_noise
from gradprox.noise import SignalNoise, Stabilization, clear_signal_noise, parse_signal_noise

# Noisy images may also be arrays.
NOISY_SUFFIXES = (*IMAGE_SUFFIXES, *READ_ONLY_SUFFIXES, *ARRAY_SUFFIXES)
# The value of a recipe's noise that stands for an estimate from each image.
ESTIMATED = "auto"


@dataclass(frozen=True)
class NoisyImage:
    """A noisy image.

    Attributes:
        pixels: ``(C, H, W)``, float32; transformed if the noise depends on the signal.
        level: standard deviation of the noise of ``pixels``, where white is 1.
        name: the name of the file, and the number of the page in a stack.
    """

    pixels: Tensor
    level: float
    name: str


def read_noisy(
    paths: Sequence[Path], channels: int, noise: float | str, smallest: int = 1
) -> list[NoisyImage]:
    """Read noisy images; every page of a stack is one.

    A network of one channel denoises the channels of a color image one by one, so each becomes an image. Noise that
    depends on the signal becomes noise of constant level by `gradprox.noise.Stabilization`.

    Args:
        paths: of the files.
        channels: of the network, 1 or 3.
        noise: the noise level, or ``gain:G,read:R``; ``"auto"`` to estimate either from each image.
        smallest: length in pixels that both sides must have.

    Raises:
        InputError: an image is unreadable, too small, without noise, or gray for a network of three channels.
    """
    found = []
    for path in paths:
        pages = read_pages(path)
        for number, page in enumerate(pages):
            name = path.name if len(pages) == 1 else f"{path.name}, page {number + 1}"
            found += _noisy_images(page, channels, noise, smallest, path.with_name(name))
    return found


def _noisy_images(
    image: ImageData, channels: int, noise: float | str, smallest: int, path: Path
) -> list[NoisyImage]:
    """Return the image, or its channels; ``path`` names it in messages."""
    check_scale(image.pixels, path)
    _, planes, height, width = image.pixels.shape
    if min(height, width) < smallest:
        raise InputError(
            f"{path}: {height}x{width} is smaller than a {smallest}-pixel patch: remove it or choose a smaller "
            "patch_size"
        )
    if channels > planes:
        # Three equal channels would not have independent noise.
        raise InputError(f"{path}: gray, but the network restores colors together: start from a gray model")
    known = noise_of(image, noise)
    pixels = image.pixels
    if isinstance(known, SignalNoise):
        stabilization = Stabilization(known.gain, known.read)
        pixels, known = stabilization(pixels), stabilization.level
    if not 0 < known <= 1:
        raise InputError(f"{path}: has no noise to learn from: remove it, or give the noise level")
    return [NoisyImage(part, known, path.name) for part in pixels[0].split(channels)]


def noise_of(image: ImageData, noise: float | str) -> float | SignalNoise:
    """Return the noise of an image as `read_noisy` takes it: a level, or gain and read noise.

    Raises:
        InputError: the image is too small for an estimate.
    """
    if noise == ESTIMATED:
        return clear_signal_noise(image) or estimate_image_noise(image).level
    return parse_signal_noise(noise) if isinstance(noise, str) else noise
