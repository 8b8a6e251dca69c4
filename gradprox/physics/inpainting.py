"""Missing pixels."""

from __future__ import annotations

import deepinv
import torch
from torch import Tensor

from gradprox.batch import PRECISIONS
from gradprox.errors import InputError
from gradprox.physics.checks import Shape
from gradprox.physics.forward_operator import ForwardOperator, channels_of, images_of
from gradprox.physics.starts import known_pixels


class Inpainting(ForwardOperator, deepinv.physics.Inpainting):
    """Each pixel times its weight in a mask: 1 where it is known, 0 where it is missing.

    Args:
        mask: ``(1 or B, 1 or C, H, W)``, finite and not negative.

    Raises:
        InputError: it is no such mask.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        if (
            not isinstance(mask, Tensor)
            or mask.ndim != 4
            or mask.dtype not in PRECISIONS
            or not bool(((mask >= 0) & (mask < torch.inf)).all())
        ):
            raise InputError(
                "a mask is (1 or B, 1 or C, H, W), of float32 or float64, finite and not negative"
            )
        super().__init__(img_size=tuple(mask.shape[1:]), mask=mask, device=mask.device)

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return channels_of(self.mask), self.mask.shape[2], self.mask.shape[3]

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return self.image_shape

    @property
    def images(self) -> int | None:
        """See `ForwardOperator.images`."""
        return images_of(self.mask)

    def A(self, x: Tensor, mask: Tensor | None = None, **_: object) -> Tensor:
        """Weight ``(B, C, H, W)``; ``mask`` replaces the mask from here on, as in deepinv."""
        self.update_parameters(mask=mask)
        self.check_images(x)
        return self.mask * x

    def A_adjoint(self, y: Tensor, mask: Tensor | None = None, **_: object) -> Tensor:
        """Weight ``(B, C, H, W)`` again: the operator is its own adjoint."""
        self.update_parameters(mask=mask)
        self.check_measurements(y)
        return self.mask * y

    def squared_norm(self) -> float:
        """Return the largest squared weight: exact."""
        return float(self.mask.max()) ** 2

    def initial(self, y: Tensor) -> Tensor:
        """Return the known pixels; each missing one is a mean of its nearest known neighbors."""
        self.check_measurements(y)
        return known_pixels(y, self.mask)

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, pixel by pixel."""
        self.check_measurements(y)
        return (self.mask * y + weight * z) / (self.mask.square() + weight)
