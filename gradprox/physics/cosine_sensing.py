"""Compressed sensing by coefficients of the cosine transform."""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.physics.checks import Size
from gradprox.physics.coefficient_draws import check_count, draw_low_first
from gradprox.physics.cosine_transform import cosine_transform, inverse_cosine_transform
from gradprox.physics.transform_sensing import TransformSensing

# How fast the density of measured coefficients falls with their frequency.
COSINE_DECAY = 2.0


class CosineSensing(TransformSensing):
    r"""``m`` coefficients of the discrete cosine transform (DCT-II) of the whole image, of any size.

    They are drawn like those of `gradprox.physics.HadamardSensing`, by frequency instead of sequency.

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: seed of the draw.
        decay: exponent of the density; ``math.inf`` takes the lowest frequencies without a draw.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``, or the seed is no seed of torch.
    """

    def __init__(self, size: Size, measurements: int, seed: int = 0, decay: float = COSINE_DECAY) -> None:
        check_count(measurements, size)
        frequencies = [torch.arange(length, dtype=torch.float64) / length for length in size]
        distance = torch.hypot(frequencies[0][:, None], frequencies[1])
        super().__init__(size, draw_low_first(distance, measurements, seed, decay))

    def transform(self, x: Tensor) -> Tensor:
        """See `TransformSensing.transform`."""
        return cosine_transform(x)

    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """See `TransformSensing.inverse_transform`."""
        return inverse_cosine_transform(coefficients)
