"""The part of a large photo that tells most about its blur."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# The corners of candidates are this share of a side apart.
STRIDE = 0.25


def textured_part(y: Tensor, side: int) -> Tensor:
    """Return the part of a gray photo ``(1, 1, H, W)`` with the most texture, at most ``side`` pixels high and wide.

    Texture is the sum of squared differences of neighbors. Pixels that are black or white have none: there the photo
    may be clipped, which no kernel explains.
    """
    height, width = (min(length, side) for length in y.shape[-2:])
    if (height, width) == tuple(y.shape[-2:]):
        return y
    inside = ((y > 0) & (y < 1)).to(y.dtype)
    energy = F.pad((y[..., 1:] - y[..., :-1]).square() * inside[..., 1:] * inside[..., :-1], (0, 1))
    energy = energy + F.pad(
        (y[..., 1:, :] - y[..., :-1, :]).square() * inside[..., 1:, :] * inside[..., :-1, :], (0, 0, 0, 1)
    )
    stride = max(1, round(STRIDE * side))
    sums = F.avg_pool2d(energy, (height, width), stride)
    best = int(sums.argmax())
    top, left = (stride * at for at in divmod(best, sums.shape[-1]))
    return y[..., top : top + height, left : left + width]
