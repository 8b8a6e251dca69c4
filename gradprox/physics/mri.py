"""Magnetic resonance imaging with a single coil."""

from __future__ import annotations

import deepinv
from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics.checks import Shape
from gradprox.physics.forward_operator import ForwardOperator, images_of


class SingleCoilMRI(ForwardOperator, deepinv.physics.MRI):
    """Some Fourier coefficients of a complex image, whose real and imaginary parts are two channels.

    A model for one channel restores either part by itself. `deepinv.physics.generator` makes masks that leave out lines
    or points.

    Args:
        mask: the measured coefficients, with the lowest frequency at ``(H // 2, W // 2)``: 0 or 1, ``(H, W)``, or
            ``(B, 2, H, W)`` with one mask per image.

    Raises:
        InputError: it is no such mask.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim not in (2, 4) or not bool(((mask == 0) | (mask == 1)).all()):
            raise InputError(f"a mask is (H, W) or (B, 2, H, W), of zeros and ones; got {tuple(mask.shape)}")
        super().__init__(mask=mask, device=mask.device)

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return 2, self.mask.shape[-2], self.mask.shape[-1]

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return self.image_shape

    @property
    def images(self) -> int | None:
        """See `ForwardOperator.images`."""
        return images_of(self.mask)

    def A(self, x: Tensor, mask: Tensor | None = None, **_: object) -> Tensor:
        """Measure ``(B, 2, H, W)``; ``mask`` replaces the mask from here on, as in deepinv."""
        self.update_parameters(mask=mask)
        self.check_images(x)
        measured: Tensor = deepinv.physics.MRI.A(self, x)
        return measured

    def A_adjoint(self, y: Tensor, mask: Tensor | None = None, **options: bool) -> Tensor:
        """Apply ``A^T`` to ``(B, 2, H, W)``; the options are those of `deepinv.physics.MRI`."""
        self.update_parameters(mask=mask)
        self.check_measurements(y)
        image: Tensor = deepinv.physics.MRI.A_adjoint(self, y, **options)
        return image

    def squared_norm(self) -> float:
        """Return 1, exact: this is a part of a unitary transform (0 where nothing is measured)."""
        return float(self.mask.max())

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, by the Fourier transform."""
        inverse: Tensor = self.prox_l2(z, y, 1 / weight)
        return inverse
