"""Rounding of the Fourier transform below zero, and its removal.

A convolution computed by Fourier transforms has a rounding error everywhere, even where the exact result is 0. So a
dark area of a photo may come out as ``-6e-8``, which is no number of photons: deepinv's Poisson noise refuses it. Where
kernel and image are nonnegative, the exact result is nonnegative too, and 0 is nearer to it than any negative number.
"""

from __future__ import annotations

import torch
from torch import Tensor


def without_rounding_below_zero(y: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Return a computed convolution ``y`` of ``x`` with ``kernel``, without negative values that are mere rounding.

    Where ``x`` or ``kernel`` has a negative value ``y`` is returned as it is. The error of the computed map becomes
    smaller, never larger: it stays linear, with the same adjoint, up to its rounding. Its derivative is that of ``y``.
    """
    nonnegative = (x.detach().amin() >= 0) & (kernel.detach().amin() >= 0)
    floor = torch.where(nonnegative, 0.0, -torch.inf).to(y)
    # Added as a constant, so that derivatives do not see it; y + (0 - y) is exactly 0.
    return y + (floor - y.detach()).relu_()
