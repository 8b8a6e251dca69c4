"""How channels see each other: mirror images, mixing, and averages over windows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def with_mirrors(stored: Tensor, mirrored: Tensor, planes: int, dim: int) -> Tensor:
    """Put what belongs to stored filters and to their mirror images side by side, plane by plane, along ``dim``."""
    parts = [part.unflatten(dim, (planes, -1)) for part in (stored, mirrored)]
    return torch.cat(parts, dim=dim + 1).flatten(dim, dim + 1)


def mirrored_table(same: Tensor, other: Tensor, planes: int, row_planes: int = 1) -> Tensor:
    """Complete a table: rows and columns that are stored, and their mirror images.

    Args:
        same: what stored rows have in stored columns, ``(S, M, N)``; so have mirrored rows in mirrored columns.
        other: what stored rows have in the mirror images of columns, and the other way round.
        planes: of the columns.
        row_planes: of the rows.

    Returns:
        ``(S, 2M, 2N)``.
    """
    to_stored = with_mirrors(same, other, planes, dim=2)
    to_mirrored = with_mirrors(other, same, planes, dim=2)
    return with_mirrors(to_stored, to_mirrored, row_planes, dim=1)


def without_mirrors(x: Tensor, planes: int, dim: int) -> tuple[Tensor, Tensor]:
    """Undo `with_mirrors`."""
    stored, mirrored = x.unflatten(dim, (planes, 2, -1)).unbind(dim + 1)
    return stored.flatten(dim, dim + 1), mirrored.flatten(dim, dim + 1)


def mix(x: Tensor, matrices: Tensor) -> Tensor:
    """Multiply the channels of ``(B, C, h, w)`` by matrices, one ``(1, N, C)`` or one each."""
    if len(matrices) == 1:
        # ONNX Runtime keeps its blocked layout through convolutions, not through products of matrices: 7 % faster.
        return F.conv2d(x, matrices[0, :, :, None, None])
    return torch.matmul(matrices, x.flatten(2)).view(x.shape[0], -1, *x.shape[2:])


def average(x: Tensor, windows: Tensor, start: Tensor | None = None, spacing: int = 1) -> Tensor:
    """Correlate each channel of ``(B, C, h, w)`` with its window, and add ``start``.

    Args:
        x: the channels.
        windows: ``(1, C, k, k)``, or one set an image.
        start: ``(1, C, 1, 1)``, or one per image; zero if not given.
        spacing: distance of a window's taps.

    Returns:
        ``(B, C, h - r, w - r)``, ``r = (k - 1) spacing``.
    """
    batch, channels, height, width = x.shape
    sets, k = windows.shape[0], windows.shape[-1]
    kernels, offsets = windows.reshape(-1, 1, k, k), None if start is None else start.flatten()
    if sets == 1:
        return F.conv2d(x, kernels, offsets, groups=channels, dilation=spacing)
    stacked = x.reshape(1, batch * channels, height, width)
    stacked = F.conv2d(stacked, kernels, offsets, groups=sets * channels, dilation=spacing)
    lost = (k - 1) * spacing
    return stacked.view(batch, channels, height - lost, width - lost)
