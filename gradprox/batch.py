"""What every layer needs of a batch of images: sums per image, and values per image that broadcast."""

from __future__ import annotations

import torch
from torch import Tensor

# The types of images: Fourier transforms have no half precision, and objectives need more digits than it has.
PRECISIONS = (torch.float32, torch.float64)


def image_sum(x: Tensor) -> Tensor:
    """Sum each image of ``(B, ...)`` in double precision, giving ``(B,)``.

    A potential adds up millions of terms; in single precision its rounding would hide the last steps of a
    descent. Devices without double precision (Apple's MPS) accumulate in the input's own type.
    """
    accumulate = x.dtype if x.device.type == "mps" else torch.float64
    return x.flatten(1).sum(dim=1, dtype=accumulate)


def per_image(values: Tensor, x: Tensor) -> Tensor:
    """Shape one value per image, ``(B,)``, so that it broadcasts against ``x`` in its type (masks stay masks)."""
    shaped = values.view(-1, *[1] * (x.ndim - 1))
    return shaped if shaped.dtype == torch.bool else shaped.to(x.dtype)
