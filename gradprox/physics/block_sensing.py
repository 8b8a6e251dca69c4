"""Compressed sensing of an image block by block with a matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gradprox.batch import PRECISIONS
from gradprox.errors import InputError
from gradprox.physics.checks import Shape, Size, check_size
from gradprox.physics.forward_operator import ForwardOperator
from gradprox.seeds import seeded_generator

BLOCK = 33


class BlockSensing(ForwardOperator):
    """The same matrix applied to every block of the image, padded with zeros to whole blocks.

    Args:
        matrix: ``(m, b^2)``, finite; it acts on the pixels of a ``b x b`` block, row by row.
        size: ``(H, W)`` of the image.

    Raises:
        InputError: the matrix is not finite, or its number of columns is no square.

    Example:
        >>> physics = BlockSensing(gaussian_matrix(4, seed=0, block=4), (8, 12))
        >>> physics(torch.rand(1, 1, 8, 12)).shape  # six blocks
        torch.Size([1, 1, 6, 4])
    """

    matrix: Tensor
    left: Tensor
    singular_values: Tensor
    right: Tensor

    def __init__(self, matrix: Tensor, size: Size) -> None:
        super().__init__()
        check_size(size)
        if matrix.ndim != 2 or matrix.numel() == 0 or math.isqrt(matrix.shape[1]) ** 2 != matrix.shape[1]:
            raise InputError(f"a block matrix has b*b columns, got shape {tuple(matrix.shape)}")
        if matrix.dtype not in PRECISIONS or not bool(torch.isfinite(matrix).all()):
            raise InputError("a block matrix holds finite numbers of float32 or float64")
        self.block = math.isqrt(matrix.shape[1])
        self.size = size
        self.blocks = tuple(math.ceil(length / self.block) for length in size)
        left, singular_values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
        self._squared_norm = float(singular_values[0]) ** 2
        # True for orthogonal rows of one length, up to rounding; `gaussian_matrix` has such rows.
        spread = float(singular_values[0] - singular_values[-1])
        self._tight = spread <= 4 * torch.finfo(matrix.dtype).eps * float(singular_values[0])
        self.register_buffer("matrix", matrix)
        self.register_buffer("left", left.to(matrix.dtype))
        self.register_buffer("singular_values", singular_values.to(matrix.dtype))
        self.register_buffer("right", right.to(matrix.dtype))

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return None, *self.size

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return None, math.prod(self.blocks), self.matrix.shape[0]

    def check_images(self, x: Tensor) -> None:
        """See `ForwardOperator.check_images`; images have the precision of the matrix."""
        super().check_images(x)
        self._check_type("x", x)

    def check_measurements(self, y: Tensor) -> None:
        """See `ForwardOperator.check_measurements`; measurements have the precision of the matrix."""
        super().check_measurements(y)
        self._check_type("y", y)

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Measure ``(B, C, H, W)``, giving ``(B, C, blocks, m)``."""
        self.check_images(x)
        return self._cut(x) @ self.matrix.T

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, blocks, m)``."""
        self.check_measurements(y)
        return self._assemble(y @ self.matrix)

    def A_dagger(self, y: Tensor, **_: object) -> Tensor:
        """Apply the pseudo-inverse of the matrix to each block; singular values lost in rounding count as 0."""
        self.check_measurements(y)
        if self._tight and self._squared_norm > 0:
            # A multiple of the transpose: exported solvers need no second matrix.
            return self.A_adjoint(y) / self._squared_norm
        values = self.singular_values
        seen = values > values[0] * max(self.matrix.shape) * torch.finfo(values.dtype).eps
        gains = torch.where(seen, 1 / values, 0.0)
        return self._assemble(((y @ self.left) * gains) @ self.right)

    def squared_norm(self) -> float:
        """Return the squared largest singular value of the matrix: exact for whole blocks."""
        return self._squared_norm

    def initial(self, y: Tensor) -> Tensor:
        """Return the pseudo-inverse of each block's measurements."""
        return self.A_dagger(y)

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2`` where nothing is padded, else None."""
        if any(length % self.block for length in self.size):
            return None
        self.check_measurements(y)
        # With the matrix U S V^T only the components V^T x change, each by itself.
        values = self.singular_values
        seen = self._cut(z) @ self.right.T
        gains = values / (values.square() + weight)
        return z + self._assemble(((y @ self.left - values * seen) * gains) @ self.right)

    def _check_type(self, name: str, values: Tensor) -> None:
        """Refuse another precision than the matrix has, because torch multiplies equal ones only."""
        if values.dtype != self.matrix.dtype:
            raise InputError(
                f"{name}: has type {values.dtype}, the matrix {self.matrix.dtype}: convert one with double() or float()"
            )

    def _cut(self, x: Tensor) -> Tensor:
        """Cut ``(B, C, H, W)`` into ``(B, C, blocks, b^2)``, padding with zeros."""
        b, (rows, columns) = self.block, self.blocks
        padded = F.pad(x, (0, columns * b - self.size[1], 0, rows * b - self.size[0]))
        blocks = padded.unflatten(3, (columns, b)).unflatten(2, (rows, b)).transpose(3, 4)
        return blocks.flatten(4).flatten(2, 3)

    def _assemble(self, blocks: Tensor) -> Tensor:
        b, (rows, columns) = self.block, self.blocks
        tiles = blocks.unflatten(2, (rows, columns)).unflatten(4, (b, b)).transpose(3, 4)
        return tiles.flatten(4, 5).flatten(2, 3)[..., : self.size[0], : self.size[1]]


def gaussian_matrix(measurements: int, seed: int, block: int = BLOCK) -> Tensor:
    """Return a Gaussian matrix ``(m, block^2)`` with orthonormal rows, the same for the same seed.

    Raises:
        InputError: there are more measurements than pixels in a block, or none; or the seed is no seed of torch.
    """
    if not 1 <= measurements <= block**2:
        raise InputError(f"measurements per block must be between 1 and {block**2}, got {measurements}")
    generator = seeded_generator(seed)
    gaussian = torch.randn(measurements, block**2, dtype=torch.float64, generator=generator)
    orthonormal, triangular = torch.linalg.qr(gaussian.T)
    # Libraries choose the signs of a QR factorization differently; with fixed signs the matrix is the same everywhere.
    return (orthonormal * triangular.diagonal().sign()).T.contiguous().float()
