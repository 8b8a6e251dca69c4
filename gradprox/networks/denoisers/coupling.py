"""Operations that couple channels: mirrored tables, mixing by matrices, and averages over windows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def with_mirrors(stored: Tensor, mirrored: Tensor, planes: int, dim: int) -> Tensor:
    """Join the entries of stored and of mirrored filters along ``dim``, plane by plane.

    Args:
        stored: entries of the stored filters, those of one plane after those of another.
        mirrored: entries of the mirrored filters, in the same order.
        planes: number of color planes.
        dim: the dimension of the filters.
    """
    parts = [part.unflatten(dim, (planes, -1)) for part in (stored, mirrored)]
    return torch.cat(parts, dim=dim + 1).flatten(dim, dim + 1)


def mirrored_table(same: Tensor, other: Tensor, planes: int, row_planes: int = 1) -> Tensor:
    """Complete a table of stored rows, so that it is unchanged if both rows and columns are mirrored.

    Args:
        same: entries of stored rows in stored columns, ``(S, M, N)``; equal to those of mirrored rows in mirrored
            columns.
        other: entries of stored rows in mirrored columns; equal to those of mirrored rows in stored columns.
        planes: number of color planes of the columns.
        row_planes: number of color planes of the rows.

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


def mix(x: Tensor, matrices: Tensor, start: Tensor | None = None) -> Tensor:
    """Multiply the channels of ``(B, C, h, w)`` by matrices, and add a constant.

    Args:
        x: the channels.
        matrices: ``(S, N, C)``, one for all images, or one per image.
        start: the constants, ``(S, N, 1, 1)``; zero if not given.
    """
    if len(matrices) == 1:
        # A convolution rather than a matrix product: ONNX Runtime keeps its memory layout, which is 7 % faster.
        return F.conv2d(x, matrices[0, :, :, None, None], None if start is None else start.flatten())
    mixed = torch.matmul(matrices, x.flatten(2)).view(x.shape[0], -1, *x.shape[2:])
    return mixed if start is None else mixed + start


def average(x: Tensor, windows: Tensor, start: Tensor | None = None, spacing: int = 1) -> Tensor:
    """Correlate each channel with its window, and add a constant.

    Args:
        x: the channels, ``(B, C, h, w)``.
        windows: the windows, ``(1, C, k, k)``, or ``(B, C, k, k)`` with other windows for every image.
        start: the constants, ``(1, C, 1, 1)`` or ``(B, C, 1, 1)``; zero if not given.
        spacing: distance between the taps of a window.

    Returns:
        ``(B, C, h - r, w - r)`` with ``r = (k - 1) spacing``.
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
