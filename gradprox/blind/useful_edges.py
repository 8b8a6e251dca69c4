r"""The gradients of a blurred photo that a kernel can be fitted to: those of structures wider than the blur.

    r = |sum grad y| / (sum |grad y| + floor)

with sums over a window around each pixel (Xu and Jia, ECCV 2010). Where structures are narrower than the blur, as in
striped cloth or hair, the gradients of a window cancel, and so do those of noise. There the sharp edges are wrong, and
a kernel that is fitted to them too. The most useful gradients are selected first and the others later, or each gradient
is weighted by its usefulness.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gradprox.blind.periodic import differences

# The mean gradient, of images in [0, 1], below which a window is flat.
FLOOR = 0.01


def usefulness(y: Tensor, window: int) -> Tensor:
    """Return the usefulness of each gradient, ``(1, 1, H, W)``, in ``[0, 1)``.

    Args:
        y: a periodic blurred image, ``(1, 1, H, W)`` with values in ``[0, 1]``.
        window: odd number of pixels per side.
    """
    gradient = differences(y)
    total = _window_means(gradient, window).norm(dim=1, keepdim=True)
    return total / (_window_means(gradient.norm(dim=1, keepdim=True), window) + FLOOR)


def most_useful(useful: Tensor, share: float) -> Tensor:
    """Return 1 for the most useful gradients and 0 for the others.

    Args:
        useful: as `usefulness` returns it.
        share: of the gradients that get 1, in ``[0, 1]``.
    """
    return (useful >= torch.quantile(useful, 1 - share)).to(useful)


def _window_means(images: Tensor, side: int) -> Tensor:
    """Return the means of periodic images ``(B, C, H, W)`` over a window around each pixel."""
    return F.avg_pool2d(F.pad(images, (side // 2,) * 4, mode="circular"), side, stride=1)
