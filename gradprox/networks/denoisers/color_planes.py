"""Color planes: an orthonormal transform of red, green and blue, so that one filter bank serves every plane.

``T x`` consists of the mean of red, green and blue, times the square root of 3, and of two differences. ``T`` is
orthogonal. Therefore the filter bank applied to each plane of ``T x`` has the same norm as on one plane, and white
noise stays white with the same level in each plane.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Rows: intensity; red minus blue; red and blue minus green.
OPPONENT = (
    (1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)),
    (1 / math.sqrt(2), 0.0, -1 / math.sqrt(2)),
    (1 / math.sqrt(6), -2 / math.sqrt(6), 1 / math.sqrt(6)),
)


def to_planes(x: Tensor) -> Tensor:
    """Apply ``T`` to ``(B, C, H, W)``: the opponent planes of three channels; one channel is its own plane."""
    return _transform(x, transposed=False)


def from_planes(planes: Tensor) -> Tensor:
    """Apply ``T^T``, which undoes `to_planes`."""
    return _transform(planes, transposed=True)


def _transform(x: Tensor, *, transposed: bool) -> Tensor:
    if x.shape[1] == 1:
        return x
    matrix = torch.tensor(OPPONENT, dtype=x.dtype, device=x.device)
    return torch.matmul(matrix.T if transposed else matrix, x.flatten(2)).view_as(x)
