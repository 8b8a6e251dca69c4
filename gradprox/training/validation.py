"""Validation: held-out images are denoised, and compared with the clean images or judged without them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from deepinv.loss.metric import PSNR
from torch import Tensor

from gradprox.networks import GradientNetwork
from gradprox.physics import gaussian_noise
from gradprox.priors import prior_of
from gradprox.priors.probing import random_signs
from gradprox.training.noisy_images import NoisyImage
from gradprox.training.unsupervised import UnsupervisedLoss, neighbor2neighbor, sure

# Pixels per side of the central part of a noisy image that is judged, to bound memory; even, for pairs of neighbors.
LARGEST_PART = 256


@dataclass(frozen=True)
class Example:
    """An image to show.

    Attributes:
        name: of its file.
        noisy: ``(1, C, H, W)``.
        level: standard deviation of its noise.
        clean: ``(1, C, H, W)``, or None if it is unknown.
    """

    name: str
    noisy: Tensor
    level: float
    clean: Tensor | None


class Validation(Protocol):
    """Judges networks by the same images and the same noise at every call, so figures of different steps compare."""

    def psnr(self, network: GradientNetwork) -> dict[str, float]:
        """Return PSNR in dB, by name."""

    def examples(self, count: int) -> list[Example]:
        """Return at most ``count`` of the images."""


@dataclass(frozen=True)
class CleanValidation:
    """Validation by clean images, to which noise is added.

    Attributes:
        images: clean images ``(1, C, H, W)`` in ``[0, 1]``.
        names: of their files.
        levels: standard deviations of the noise.
        device: where to compute.
    """

    images: Sequence[Tensor]
    names: Sequence[str]
    levels: Sequence[float]
    device: torch.device | str

    def psnr(self, network: GradientNetwork) -> dict[str, float]:
        """Return the mean PSNR in dB at each noise level, keyed by gray levels of 255."""
        return validate(network, self.images, self.levels, self.device)

    def examples(self, count: int) -> list[Example]:
        """Return images with noise of the median level."""
        level = sorted(self.levels)[len(self.levels) // 2]
        generator = torch.Generator().manual_seed(0)
        return [
            Example(name, image + gaussian_noise(image, level, generator), level, image)
            for name, image in zip(self.names[:count], self.images, strict=False)
        ]


@dataclass(frozen=True)
class NoisyValidation:
    """Validation by noisy images alone, by their central parts.

    Attributes:
        images: noisy images.
        loss: how to judge.
        device: where to compute.
    """

    images: Sequence[NoisyImage]
    loss: UnsupervisedLoss
    device: torch.device | str

    def psnr(self, network: GradientNetwork) -> dict[str, float]:
        """Return an estimate in dB from the mean error of the images.

        With ``"sure"``, ``estimated`` is the PSNR by Stein's unbiased risk estimate. With ``"neighbor2neighbor"``,
        ``neighbors`` is the PSNR of the prediction of neighboring pixels, whose own noise counts as error.
        """
        errors = [
            self._error(network, part, image.level, number)
            for number, (part, image) in enumerate(zip(self._parts(), self.images, strict=True))
        ]
        mean = sum(errors) / len(errors)
        if self.loss == "neighbor2neighbor":
            return {"neighbors": _decibel(mean)}
        # Smaller errors drown in the standard error of the mean square of the noise.
        variances = [image.level**2 for image in self.images]
        samples = sum(part.numel() for part in self._parts())
        return {"estimated": _decibel(max(mean, sum(variances) / len(variances) * math.sqrt(2 / samples)))}

    def _error(self, network: GradientNetwork, part: Tensor, level: float, seed: int) -> float:
        """Return the estimated mean squared error of a denoised image, or that of predicted neighbors."""
        denoise, noisy = prior_of(network), part.to(self.device)
        if self.loss == "neighbor2neighbor":
            with torch.no_grad():
                return float(neighbor2neighbor(lambda y: denoise(y, level), noisy, seed, consistency=0))
        signs = random_signs(noisy, torch.Generator().manual_seed(seed))
        sigma = torch.full((1,), level, device=noisy.device)
        return float(sure(lambda y: denoise(y, level), noisy, sigma, signs, differentiable=False))

    def examples(self, count: int) -> list[Example]:
        """Return the central parts of images."""
        pairs = list(zip(self._parts(), self.images, strict=True))[:count]
        return [Example(image.name, part, image.level, None) for part, image in pairs]

    def _parts(self) -> list[Tensor]:
        return [_central(image.pixels[None]) for image in self.images]


def _central(image: Tensor) -> Tensor:
    """Return the central part of an image, of even height and width."""
    height, width = (min(side, LARGEST_PART) // 2 * 2 for side in image.shape[-2:])
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[..., top : top + height, left : left + width]


def _decibel(mean_square: float) -> float:
    return -10 * math.log10(mean_square)


@torch.no_grad()
def validate(
    network: GradientNetwork, images: Sequence[Tensor], levels: Sequence[float], device: torch.device | str
) -> dict[str, float]:
    """Return the mean PSNR in dB of denoised images at each noise level, keyed by gray levels of 255.

    The noise of a level is the same at every call, so figures of different steps compare.

    Args:
        network: on ``device``.
        images: clean images ``(1, C, H, W)`` in ``[0, 1]``.
        levels: standard deviations of the noise.
        device: where to compute.
    """
    denoise, psnr = prior_of(network), PSNR()
    means = {}
    for level in levels:
        generator = torch.Generator().manual_seed(0)
        scores = []
        for image in images:
            noisy = image + gaussian_noise(image, level, generator)
            scores.append(float(psnr(denoise(noisy.to(device), level).cpu(), image)))
        means[f"{255 * level:g}"] = sum(scores) / len(scores)
    return means
