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
HADAMARD_DECAY = 2.0


class HadamardSensing(LinearPhysics):
    r"""``m`` Walsh-Hadamard coefficients of the whole picture, the denser the lower their sequency.

    Sequency, the number of sign changes of a pattern, orders Walsh functions as frequency orders cosines. With
    ``rho = sqrt((u/P)^2 + (v/Q)^2)`` for sequencies ``u`` and ``v``, coefficients are drawn without replacement with
    weights ``rho^-decay``; the constant pattern is always among them. Some high sequencies resolve detail that the
    lowest ones alone lose. Pictures are padded with zeros to powers of two ``P x Q``; the padding is known, not
    reconstructed.

    Args:
        size: ``(H, W)`` of the picture.
        measurements: ``m``, at most ``H W``.
        seed: of the draw.
        decay: how fast the density falls; ``math.inf`` takes the lowest sequencies, none drawn.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``.

    Example:
        >>> physics = HadamardSensing((16, 16), measurements=64)
        >>> y = physics(torch.rand(2, 1, 16, 16))
        >>> y.shape, physics.A_adjoint(y).shape
        (torch.Size([2, 1, 64]), torch.Size([2, 1, 16, 16]))
    """

    indices: Tensor

    def __init__(
        self, size: tuple[int, int], measurements: int, seed: int = 0, decay: float = HADAMARD_DECAY
    ) -> None:
        super().__init__()
        if not 1 <= measurements <= size[0] * size[1]:
            raise InputError(f"measurements must be between 1 and {size[0] * size[1]}, got {measurements}")
        self.size = size
        self.padded = tuple(1 << (length - 1).bit_length() for length in size)
        ranks = [_sequency_ranks(length) / length for length in self.padded]
        distance = torch.hypot(ranks[0][:, None], ranks[1]).flatten()
        if math.isinf(decay):
            keys = distance
        else:
            # The m smallest of exponential variables with rates w are a draw without replacement with weights w
            # (Efraimidis and Spirakis, Inf. Process. Lett. 2006).
            uniform = torch.rand(
                len(distance), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
            )
            keys = -torch.log1p(-uniform) * distance**decay
        self.register_buffer("indices", keys.argsort(stable=True)[:measurements])

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

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2`` where nothing is padded (``A A^T = I``), else None."""
        if self.size != self.padded:
            return None
        return z + self.A_adjoint(y - self.A(z)) / (1 + weight)


class BlockSensing(LinearPhysics):
    """The same matrix applied to every block of the picture, padded with zeros to whole blocks.

    Args:
        matrix: ``(m, b^2)``; it acts on the pixels of a ``b x b`` block, row by row.
        size: ``(H, W)`` of the picture.

    Raises:
        InputError: the number of columns is no square.

    Example:
        >>> physics = BlockSensing(gaussian_matrix(4, seed=0, block=4), (8, 12))
        >>> physics(torch.rand(1, 1, 8, 12)).shape  # six blocks
        torch.Size([1, 1, 6, 4])
    """

    matrix: Tensor
    left: Tensor
    singular_values: Tensor
    right: Tensor

    def __init__(self, matrix: Tensor, size: tuple[int, int]) -> None:
        super().__init__()
        self.block = math.isqrt(matrix.shape[1])
        if matrix.ndim != 2 or self.block**2 != matrix.shape[1]:
            raise InputError(f"a block matrix has b*b columns, got shape {tuple(matrix.shape)}")
        self.size = size
        self.blocks = tuple(math.ceil(length / self.block) for length in size)
        left, singular_values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
        self._squared_norm = float(singular_values[0]) ** 2
        self.register_buffer("matrix", matrix)
        self.register_buffer("left", left.to(matrix.dtype))
        self.register_buffer("singular_values", singular_values.to(matrix.dtype))
        self.register_buffer("right", right.to(matrix.dtype))

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Measure ``(B, C, H, W)``, giving ``(B, C, blocks, m)``."""
        return self._cut(x) @ self.matrix.T

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, blocks, m)``."""
        return self._assemble(y @ self.matrix)

    def A_dagger(self, y: Tensor, **_: object) -> Tensor:
        """Apply the pseudo-inverse of the matrix to each block; directions it barely sees count as unseen."""
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
        # With the matrix U S V^T only the components V^T x change, each by itself.
        values = self.singular_values
        seen = self._cut(z) @ self.right.T
        gains = values / (values.square() + weight)
        return z + self._assemble(((y @ self.left - values * seen) * gains) @ self.right)

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
