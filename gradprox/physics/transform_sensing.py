"""Compressed sensing by some coefficients of an orthonormal transform of the whole image."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor
from torch.nn import functional as F

from gradprox.errors import InputError
from gradprox.physics.sizes import Size, check_size


class TransformSensing(LinearPhysics):
    """``A x = (T x)[indices]`` for an orthonormal transform ``T`` of images of one size.

    Rows of an orthonormal matrix: ``A A^T = I``, so the norm is 1, ``A^T`` is the pseudo-inverse, and least squares
    have a closed form. Where a transform needs a larger image than there is, zeros are added; they are known, not
    reconstructed, and ``A`` is a part of such a matrix.

    Args:
        size: ``(H, W)`` of the image.
        indices: which coefficients are measured, as places in the flattened transform, ``(m,)``.
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

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Measure ``(B, C, H, W)``, giving ``(B, C, m)``."""
        padding = (0, self.padded[1] - self.size[1], 0, self.padded[0] - self.size[0])
        return self.transform(F.pad(x, padding)).flatten(2)[..., self.indices]

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, m)``; where nothing is padded it is the pseudo-inverse."""
        coefficients = y.new_zeros(*y.shape[:2], math.prod(self.padded))
        coefficients[..., self.indices] = y
        whole = self.inverse_transform(coefficients.unflatten(2, self.padded))
        return whole[..., : self.size[0], : self.size[1]]

    def squared_norm(self) -> float:
        """Return 1: rows of an orthonormal transform (exact; an upper bound where the image is padded)."""
        return 1.0

    def initial(self, y: Tensor) -> Tensor:
        """Return ``A^T y``."""
        return self.A_adjoint(y)

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2`` where nothing is padded (``A A^T = I``), else None."""
        if self.size != self.padded:
            return None
        return z + self.A_adjoint(y - self.A(z)) / (1 + weight)


def check_measurements(measurements: int, size: Size) -> None:
    """Refuse a number of measurements that is not between 1 and the number of pixels of an image of ``(H, W)``.

    Raises:
        InputError: it is not, or that is no size.
    """
    check_size(size)
    if not 1 <= measurements <= math.prod(size):
        raise InputError(f"measurements must be between 1 and {math.prod(size)}, got {measurements}")


def draw_low_first(distance: Tensor, measurements: int, seed: int, decay: float) -> Tensor:
    """Draw places without replacement with weights ``distance^-decay``; those at distance 0 are always drawn.

    The ``m`` smallest of exponential variables with rates ``w`` are such a draw with weights ``w`` (Efraimidis and
    Spirakis, Inf. Process. Lett. 2006).

    Args:
        distance: from the lowest frequency, float64 ``(P, Q)``.
        measurements: ``m``, how many are drawn.
        seed: of the draw.
        decay: how fast the density falls; ``math.inf`` takes the lowest, none drawn.

    Returns:
        Flat places, ``(m,)``.
    """
    return draw_keys(distance, seed, decay).flatten().argsort(stable=True)[:measurements]


def draw_keys(distance: Tensor, seed: int, decay: float) -> Tensor:
    """Return the variables whose smallest are drawn by `draw_low_first`."""
    if math.isinf(decay):
        return distance
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(distance.numel(), dtype=torch.float64, generator=generator).view_as(distance)
    return -torch.log1p(-uniform) * distance**decay
