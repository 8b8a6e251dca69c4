"""Compressed sensing by a fast transform that acts like random projections."""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.physics.checks import Size
from gradprox.physics.coefficient_draws import check_count
from gradprox.physics.cosine_transform import cosine_transform, inverse_cosine_transform
from gradprox.physics.transform_sensing import TransformSensing
from gradprox.seeds import seeded_generator


class StructuredSensing(TransformSensing):
    r"""``m`` random coefficients of the cosine transform of the image with random signs on its pixels.

    The signs spread every image evenly over all coefficients. So uniformly drawn coefficients reconstruct as well as
    the same number of random projections, at the cost of a fast transform and with the memory of one image (Do, Gan,
    Nguyen and Tran, IEEE Trans. Signal Process. 2012).

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: seed of the signs and of the draw.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``, or the seed is no seed of torch.
    """

    signs: Tensor

    def __init__(self, size: Size, measurements: int, seed: int = 0) -> None:
        check_count(measurements, size)
        generator = seeded_generator(seed)
        signs = torch.randint(2, size, generator=generator)
        places = torch.randperm(size[0] * size[1], generator=generator)
        super().__init__(size, places[:measurements])
        self.register_buffer("signs", 2.0 * signs - 1)

    def transform(self, x: Tensor) -> Tensor:
        """See `TransformSensing.transform`."""
        return cosine_transform(self.signs * x)

    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """See `TransformSensing.inverse_transform`."""
        return self.signs * inverse_cosine_transform(coefficients)
