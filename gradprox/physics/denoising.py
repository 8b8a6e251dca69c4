"""The identity: noise, and no other degradation."""

from __future__ import annotations

import deepinv
from torch import Tensor

from gradprox.physics.checks import Shape
from gradprox.physics.forward_operator import ForwardOperator


class Denoising(ForwardOperator, deepinv.physics.Denoising):
    """The identity. A call adds no noise, unlike a call of deepinv's class."""

    def __init__(self) -> None:
        super().__init__(noise_model=deepinv.physics.ZeroNoise())

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return None, None, None

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return self.image_shape

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Return ``x``."""
        self.check_images(x)
        return x

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Return ``y``."""
        self.check_measurements(y)
        return y

    def squared_norm(self) -> float:
        """Return 1: exact."""
        return 1.0

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |x - y|^2 + weight |x - z|^2``."""
        self.check_measurements(y)
        return (y + weight * z) / (1 + weight)
