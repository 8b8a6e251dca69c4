"""The orthonormal two-dimensional discrete cosine transform (DCT-II), of any size."""

from __future__ import annotations

import torch
from deepinv.physics.functional import dct_2d, idct_2d
from torch import Tensor


def cosine_transform(x: Tensor) -> Tensor:
    """Return the coefficients of images ``(..., H, W)``; its adjoint is its inverse."""
    return dct_2d(x) * _scales(x)


def inverse_cosine_transform(coefficients: Tensor) -> Tensor:
    """Return the images with these coefficients."""
    return idct_2d(coefficients / _scales(coefficients))


def _scales(x: Tensor) -> Tensor:
    """Return the factors of an orthonormal transform; deepinv's own are accurate to single precision only."""
    height, width = (_line(length, x) for length in x.shape[-2:])
    return height[:, None] * width


def _line(length: int, like: Tensor) -> Tensor:
    scales = torch.full((length,), (2 * length) ** -0.5, dtype=like.dtype, device=like.device)
    scales[0] /= 2**0.5
    return scales
