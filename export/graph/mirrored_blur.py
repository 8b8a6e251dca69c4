r"""Blur of images that continue as their mirror image, for graphs, in double precision.

**Convolutions.** ONNX Runtime has none in double precision, so they are products with matrices. The image is cut into
blocks of ``BLOCK x BLOCK`` pixels. The values of a block depend on ``(BLOCK + h - 1) (BLOCK + w - 1)`` pixels, and one
matrix, the same for all blocks, takes these to those.

**Fits.** A kernel that is its own mirror image in both directions is diagonal in the cosine transform, as in
`gradprox.physics.SymmetricBlur`; other kernels need conjugate gradients.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gradprox.export.graph.blur import GraphBlur
from gradprox.export.graph.equations import PixelEquations
from gradprox.networks.borders import add_back

# Pixels a side of a block: products take little more time than the taps of a kernel of 15x15 need.
BLOCK = 16


class Cosines(NamedTuple):
    """The cosine transform of images ``(H, W)``, and the response of a kernel; all in double precision.

    Attributes:
        columns: the orthonormal transform along columns, ``(H, H)``: frequencies by pixels.
        rows: the same along rows, ``(W, W)``.
        response: what a kernel that is its own mirror image multiplies each coefficient with, ``(H, W)``.
    """

    columns: Tensor
    rows: Tensor
    response: Tensor

    @classmethod
    def of(cls, kernel: Tensor, height: int, width: int) -> Cosines:
        """Return the transform of images ``(height, width)`` with the response of a kernel ``(1, 1, h, w)``."""
        taps = kernel[0, 0].double()
        (down, of_columns), (across, of_rows) = (
            (_cosines(length, torch.arange(size) - size // 2, half=0), _transform(length))
            for length, size in zip((height, width), taps.shape, strict=True)
        )
        return cls(of_columns, of_rows, down @ taps @ across.T)

    def transform(self, x: Tensor) -> Tensor:
        """Return the coefficients of ``(B, C, H, W)``."""
        return self.columns @ x.double() @ self.rows.T

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return the images that have these coefficients."""
        return self.columns.T @ coefficients @ self.rows


class MirroredBlur(GraphBlur, PixelEquations):
    """The operator of `gradprox.physics.SymmetricBlur` in double precision, with the equations of its fits.

    The coordinates are the pixels.

    Args:
        kernel: ``(1, 1, h, w)``.
        cosines: the transform of images of this size, with the response of the kernel.
    """

    def __init__(self, kernel: Tensor, cosines: Cosines) -> None:
        super().__init__(kernel, "symmetric")
        self.cosines = cosines

    def A(self, x: Tensor) -> Tensor:
        """Convolve; see `GraphBlur.A`."""
        x = x.double()
        for dim in (-2, -1):
            x = x.index_select(dim, self.mirrored(x, dim))
        return convolved(x, self.kernel.double())

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Correlate with the kernel, and fold the margin back: the adjoint."""
        y = y.double()
        height, width = self.kernel.shape[-2] - 1, self.kernel.shape[-1] - 1
        extended = convolved(F.pad(y, (width, width, height, height)), self.kernel.double().flip(-1, -2))
        for dim in (-2, -1):
            extended = add_back(extended, self.mirrored(y, dim), dim, y.shape[dim])
        return extended

    def normal_operator(self, coordinates: Tensor, weight: Tensor) -> Tensor:
        """See `Equations.normal_operator`."""
        return self.A_adjoint(self.A(coordinates)) + weight * coordinates

    def closed_fit(self, z: Tensor, y: Tensor, back: Tensor, weight: Tensor) -> Tensor:  # noqa: ARG002
        """See `Equations.closed_fit`; for a kernel that `is_mirror_image` accepts."""
        right = self.cosines.transform(back + weight * z)
        return self.cosines.inverse(right / (self.cosines.response.square() + weight))


def is_mirror_image(kernel: Tensor) -> Tensor:
    """Return whether a kernel is its own mirror image in both directions, as `gradprox.physics.SymmetricBlur` judges.

    The result is a bool scalar; ``kernel`` is ``(1, 1, h, w)``.
    """
    height, width = (torch.full((), size, dtype=torch.long) for size in kernel.shape[-2:])
    tolerance = 2 * torch.finfo(kernel.dtype).eps * kernel.abs().max()
    near = [((kernel - kernel.flip(dim)).abs() <= tolerance).all() for dim in (-2, -1)]
    return near[0] & near[1] & (height % 2 == 1) & (width % 2 == 1)


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the convolution at the positions where the kernel fits, in double precision, by products with a matrix.

    Args:
        x: ``(B, C, H, W)``, float64.
        kernel: ``(1, 1, h, w)``, float64.

    Returns:
        ``(B, C, H - h + 1, W - w + 1)``.
    """
    (rows, down), (columns, across) = (_windows(x.shape[d], kernel.shape[d]) for d in (-2, -1))
    batch, channels = x.shape[:2]
    pixels = x.index_select(-2, rows).index_select(-1, columns)
    tall, wide = BLOCK + kernel.shape[-2] - 1, BLOCK + kernel.shape[-1] - 1
    windows = pixels.reshape(batch * channels, down, tall, across, wide).permute(0, 1, 3, 2, 4)
    blocks = windows.reshape(-1, tall * wide) @ _matrix(kernel[0, 0])
    image = blocks.reshape(batch * channels, down, across, BLOCK, BLOCK).permute(0, 1, 3, 2, 4)
    image = image.reshape(batch, channels, down * BLOCK, across * BLOCK)
    return image.narrow(-2, 0, x.shape[-2] - kernel.shape[-2] + 1).narrow(
        -1, 0, x.shape[-1] - kernel.shape[-1] + 1
    )


def _windows(length: int, size: int) -> tuple[Tensor, int]:
    """Return the positions of the pixels that each block depends on along an axis, and the number of blocks.

    Positions beyond the end are taken as the last one: no value that counts depends on them.
    """
    count = (length - size + BLOCK) // BLOCK
    positions = (BLOCK * torch.arange(count))[:, None] + torch.arange(BLOCK + size - 1)
    last = torch.full((1,), length - 1, dtype=torch.long)
    return torch.minimum(positions.reshape(-1), last), count


def _matrix(taps: Tensor) -> Tensor:
    """Return the matrix that takes the pixels of a window to the values of a block, for a kernel ``(h, w)``."""
    turned = taps.flip(0, 1)
    for dim in (0, 1):
        size = taps.shape[dim]
        offsets = torch.arange(BLOCK + size - 1)[:, None] - torch.arange(BLOCK)
        last = torch.full((1,), size - 1, dtype=torch.long)
        inside = ((offsets >= 0) & (offsets <= last)).to(taps.dtype)
        chosen = turned.index_select(2 * dim, torch.minimum(offsets.reshape(-1).clamp_min(0), last))
        # One axis becomes two: the position in the window, and that in the block.
        if dim == 0:
            turned = chosen.reshape(BLOCK + size - 1, BLOCK, -1) * inside[:, :, None]
        else:
            turned = chosen.reshape(turned.shape[0], BLOCK, BLOCK + size - 1, BLOCK) * inside
    return turned.permute(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)


def _cosines(length: int, positions: Tensor, half: int) -> Tensor:
    """Return ``cos(pi u (2 p + half) / (2 length))`` of frequencies ``u`` by positions ``p``, in double precision."""
    # The product is reduced to one period as a whole number, so no digits are lost.
    period = torch.full((), 4 * length, dtype=torch.long)
    turns = (torch.arange(length)[:, None] * (2 * positions + half)) % period
    circle = torch.tensor(2 * math.pi, dtype=torch.float64)
    return (turns.double() * (circle / period.double())).cos()


def _transform(length: int) -> Tensor:
    """Return the matrix of the orthonormal cosine transform (DCT-II), frequencies by pixels."""
    frequencies = torch.arange(length)
    norms = (torch.full((), length, dtype=torch.float64) / (1 + (frequencies > 0).double())).sqrt()
    return _cosines(length, frequencies, half=1) / norms[:, None]
