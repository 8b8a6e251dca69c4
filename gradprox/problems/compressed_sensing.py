"""Compressed sensing of whole pictures by Hadamard patterns, and block by block with a matrix."""

from __future__ import annotations

import math

import torch
from deepinv.physics import LinearPhysics
from deepinv.physics.singlepixel import hadamard_2d, sequency_order
from torch import Tensor
from torch.nn import functional as F

from gradprox.errors import InputError

BLOCK = 33


class HadamardSensing(LinearPhysics):
    r"""The ``m`` Walsh-Hadamard coefficients of lowest sequency, of the whole picture.

    Sequency, the number of sign changes of a pattern, orders Walsh functions as frequency orders cosines; in two
    dimensions coefficients are taken by growing ``(u/P)^2 + (v/Q)^2``. Pictures are padded with zeros to powers of
    two ``P x Q``; the padding is known, not reconstructed.

    Args:
        size: ``(H, W)`` of the picture.
        measurements: ``m``, at most ``H W``.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``.
    """

    indices: Tensor

    def __init__(self, size: tuple[int, int], measurements: int) -> None:
        super().__init__()
        if not 1 <= measurements <= size[0] * size[1]:
            raise InputError(f"measurements must be between 1 and {size[0] * size[1]}, got {measurements}")
        self.size = size
        self.padded = tuple(1 << (length - 1).bit_length() for length in size)
        ranks = [_sequency_ranks(length) / length for length in self.padded]
        distance = ranks[0][:, None] ** 2 + ranks[1] ** 2
        self.register_buffer("indices", distance.flatten().argsort(stable=True)[:measurements])

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Measure ``(B, C, H, W)``, giving ``(B, C, m)``."""
        padding = (0, self.padded[1] - self.size[1], 0, self.padded[0] - self.size[0])
        return hadamard_2d(F.pad(x, padding)).flatten(2)[..., self.indices]

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, m)``; where nothing is padded ``A A^T = I``, so it is the pseudo-inverse."""
        coefficients = y.new_zeros(*y.shape[:2], self.padded[0] * self.padded[1])
        coefficients[..., self.indices] = y
        return hadamard_2d(coefficients.unflatten(2, self.padded))[..., : self.size[0], : self.size[1]]

    def squared_norm(self) -> float:
        """Return 1: rows of an orthonormal transform (exact; an upper bound where the picture is padded)."""
        return 1.0

    def initial(self, y: Tensor) -> Tensor:
        """Return ``A^T y``."""
        return self.A_adjoint(y)


class BlockSensing(LinearPhysics):
    """The same matrix applied to every block of the picture, padded with zeros to whole blocks.

    Args:
        matrix: ``(m, b^2)``; it acts on the pixels of a ``b x b`` block, row by row.
        size: ``(H, W)`` of the picture.

    Raises:
        InputError: the number of columns is no square.
    """

    matrix: Tensor
    pseudo_inverse: Tensor

    def __init__(self, matrix: Tensor, size: tuple[int, int]) -> None:
        super().__init__()
        self.block = math.isqrt(matrix.shape[1])
        if matrix.ndim != 2 or self.block**2 != matrix.shape[1]:
            raise InputError(f"a block matrix has b*b columns, got shape {tuple(matrix.shape)}")
        self.size = size
        self.blocks = tuple(math.ceil(length / self.block) for length in size)
        self._squared_norm = float(torch.linalg.matrix_norm(matrix.double(), 2)) ** 2
        self.register_buffer("matrix", matrix)
        self.register_buffer("pseudo_inverse", torch.linalg.pinv(matrix.double()).to(matrix.dtype))

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Measure ``(B, C, H, W)``, giving ``(B, C, blocks, m)``."""
        b, (rows, columns) = self.block, self.blocks
        padded = F.pad(x, (0, columns * b - self.size[1], 0, rows * b - self.size[0]))
        blocks = padded.unflatten(3, (columns, b)).unflatten(2, (rows, b)).transpose(3, 4)
        return blocks.flatten(4).flatten(2, 3) @ self.matrix.T

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, blocks, m)``."""
        return self._assemble(y @ self.matrix)

    def A_dagger(self, y: Tensor, **_: object) -> Tensor:
        """Apply the pseudo-inverse of the matrix to each block."""
        return self._assemble(y @ self.pseudo_inverse.T)

    def squared_norm(self) -> float:
        """Return the squared largest singular value of the matrix: exact for whole blocks."""
        return self._squared_norm

    def initial(self, y: Tensor) -> Tensor:
        """Return the pseudo-inverse of each block's measurements."""
        return self.A_dagger(y)

    def _assemble(self, blocks: Tensor) -> Tensor:
        b, (rows, columns) = self.block, self.blocks
        tiles = blocks.unflatten(2, (rows, columns)).unflatten(4, (b, b)).transpose(3, 4)
        return tiles.flatten(4, 5).flatten(2, 3)[..., : self.size[0], : self.size[1]]


def gaussian_matrix(measurements: int, seed: int, block: int = BLOCK) -> Tensor:
    """Return a Gaussian matrix ``(m, block^2)`` with orthonormal rows, the same for the same seed.

    Raises:
        InputError: there are more measurements than pixels in a block, or none.
    """
    if not 1 <= measurements <= block**2:
        raise InputError(f"measurements a block must be between 1 and {block**2}, got {measurements}")
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(measurements, block**2, dtype=torch.float64, generator=generator)
    orthonormal, triangular = torch.linalg.qr(gaussian.T)
    # The signs of a QR factorisation are the library's choice; fixed, the matrix is the same everywhere.
    return (orthonormal * triangular.diagonal().sign()).T.contiguous().float()


def _sequency_ranks(length: int) -> Tensor:
    """Return the sequency of each row of the Hadamard matrix in its natural order."""
    ranks = torch.empty(length, dtype=torch.float64)
    ranks[torch.as_tensor(sequency_order(length).copy())] = torch.arange(length, dtype=torch.float64)
    return ranks
