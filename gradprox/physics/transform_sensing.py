"""The base of compressed sensing by some coefficients of an orthonormal transform of the whole image."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor
from torch.nn import functional as F

from gradprox.physics.checks import Shape, Size
from gradprox.physics.forward_operator import ForwardOperator


class TransformSensing(ForwardOperator):
    """``A x = (T x)[indices]`` for an orthonormal transform ``T`` of images of one size.

    ``A`` has rows of an orthonormal matrix: ``A A^T = I``, so the norm is 1, ``A^T`` is the pseudo-inverse, and least
    squares have a closed form. A transform that needs a larger image pads it with zeros. These are known, not
    reconstructed; ``A`` then has only some columns of such a matrix.

    Args:
        size: ``(H, W)`` of the image.
        indices: the measured coefficients, as indices of the flattened transform, ``(m,)``.
        padded: the size that is transformed; ``size`` if not given.
    """

    indices: Tensor

    def __init__(self, size: Size, indices: Tensor, padded: Size | None = None) -> None:
        super().__init__()
        self.size = size
        self.padded = size if padded is None else padded
        self.register_buffer("indices", indices)

    @abstractmethod
    def transform(self, x: Tensor) -> Tensor:
        """Apply ``T`` to images of the padded size."""

    @abstractmethod
    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """Apply ``T^T``, the inverse."""

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return None, *self.size

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return None, len(self.indices)

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Measure ``(B, C, H, W)``, giving ``(B, C, m)``."""
        self.check_images(x)
        padding = (0, self.padded[1] - self.size[1], 0, self.padded[0] - self.size[0])
        return self.transform(F.pad(x, padding)).flatten(2)[..., self.indices]

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, m)``; where nothing is padded it is the pseudo-inverse."""
        self.check_measurements(y)
        coefficients = y.new_zeros(*y.shape[:2], math.prod(self.padded))
        coefficients[..., self.indices] = y
        whole = self.inverse_transform(coefficients.unflatten(2, self.padded))
        return whole[..., : self.size[0], : self.size[1]]

    def squared_norm(self) -> float:
        """Return 1: rows of an orthonormal transform (exact; an upper bound where the image is padded)."""
        return 1.0

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2`` where nothing is padded (``A A^T = I``), else None."""
        if self.size != self.padded:
            return None
        self.check_measurements(y)
        return z + self.A_adjoint(y - self.A(z)) / (1 + weight)
