"""First images of a reconstruction for operators of deepinv whose adjoint gives a dark or a patchy one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def known_pixels(y: Tensor, mask: Tensor) -> Tensor:
    """Return the known pixels of masked images; each missing one is a mean of its nearest known neighbors.

    Args:
        y: ``(B, C, H, W)``, images times the mask.
        mask: weights, shaped like ``y`` or broadcast to it; 0 where a pixel is missing.
    """
    known = (mask > 0).to(y.dtype).expand_as(y)
    return _filled(torch.where(known > 0, y / mask, 0.0), known)


def extended(y: Tensor, height: int, width: int) -> Tensor:
    """Return images ``(B, C, h, w)``, continued by their edge pixels to ``(B, C, height, width)``.

    They are placed as a valid convolution centers its result: see `margins`.
    """
    top, bottom = margins(height - y.shape[-2] + 1)
    left, right = margins(width - y.shape[-1] + 1)
    return F.pad(y, (left, right, top, bottom), mode="replicate")


def margins(length: int) -> tuple[int, int]:
    """Return how far a kernel of this length reaches before and after a pixel of the blurred image.

    In a valid convolution the pixel ``y[i]`` is centered on ``x[i + (h - 1) - h // 2]``.
    """
    after = length // 2
    return length - 1 - after, after


def back_projection(back: Tensor, weights: Tensor) -> Tensor:
    """Return ``A^T y / A^T A 1``: the measurements of a constant image give this image.

    Args:
        back: ``A^T y``, ``(B, C, H, W)``.
        weights: ``A^T A 1``. Pixels where it is 0 were not measured: they are filled from their neighbors.
    """
    seen = weights > 1e-3 * weights.max()  # less is rounding
    return known_pixels(torch.where(seen, back, 0.0), torch.where(seen, weights, 0.0))


def _filled(x: Tensor, known: Tensor) -> Tensor:
    """Fill the pixels where ``known`` is 0 from the filled image of half the size (push and pull)."""
    if bool((known > 0).all()) or max(x.shape[-2:]) == 1:
        return x  # pixels unknown at every scale stay 0
    sums, counts = (F.avg_pool2d(part, 2, ceil_mode=True) for part in (known * x, known))
    half = _filled(torch.where(counts > 0, sums / counts, 0.0), (counts > 0).to(x.dtype))
    around = F.interpolate(half, scale_factor=2, mode="bilinear")[..., : x.shape[-2], : x.shape[-1]]
    return torch.where(known > 0, x, around)
