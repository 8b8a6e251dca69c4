"""Photos made periodic, for the Fourier domain: no jump where the right border meets the left one."""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor


def periodic_extension(y: Tensor, least: int) -> Tensor:
    """Return photos ``(B, C, H, W)`` with new rows below and new columns on the right, which lead back to the start.

    Both ends of the photo continue as their mirror images, and the new part fades from one into the other.

    Args:
        y: the photos; both sides have at least ``least`` pixels.
        least: smallest number of new rows and columns. There are more, up to a length that suits the transform.
    """
    for axis in (-2, -1):
        length = y.shape[axis]
        added = next_fast_len(length + least, real=True) - length
        inside = min(added, length)
        fade = (1 - torch.cos(math.pi * torch.arange(1, added + 1, dtype=y.dtype) / (added + 1))) / 2
        fade = fade.view((-1, 1) if axis == -2 else (1, -1)).to(y.device)
        end = _stretched(y.narrow(axis, length - inside, inside).flip(axis), added, axis)
        start = _stretched(y.narrow(axis, 0, inside).flip(axis), added, axis)
        y = torch.cat([y, end * (1 - fade) + start * fade], dim=axis)
    return y


def _stretched(part: Tensor, length: int, axis: int) -> Tensor:
    """Repeat the rows or columns of a part cyclically up to a length."""
    index = torch.arange(length, device=part.device) % part.shape[axis]
    return part.index_select(axis, index)


def transfer_function(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the response ``(1, 1, H, W // 2 + 1)`` of a kernel with odd sides that is centered on its middle."""
    height, width = kernel.shape[-2:]
    wide = kernel.new_zeros(1, 1, *size)
    wide[..., :height, :width] = kernel
    return torch.fft.rfft2(wide.roll((-(height // 2), -(width // 2)), (-2, -1)))


def differences(x: Tensor) -> Tensor:
    """Return the horizontal and vertical differences ``(B, 2, H, W)`` of periodic images ``(B, 1, H, W)``."""
    return torch.cat([x.roll(-1, -1) - x, x.roll(-1, -2) - x], dim=1)


def difference_responses(like: Tensor) -> Tensor:
    """Return the responses of `differences` on images of the size of ``like``, ``(1, 2, H, W // 2 + 1)``."""
    impulse = torch.zeros_like(like[:1, :1])
    impulse[..., 0, 0] = 1
    return torch.fft.rfft2(differences(impulse))
