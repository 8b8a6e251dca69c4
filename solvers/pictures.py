"""One number a picture beside pictures."""

from __future__ import annotations

import torch
from torch import Tensor


def per_picture(values: Tensor, x: Tensor) -> Tensor:
    """Shape one value a picture, ``(B,)``, so that it broadcasts against ``x`` in its type (masks stay masks)."""
    shaped = values.view(-1, *[1] * (x.ndim - 1))
    return shaped if shaped.dtype == torch.bool else shaped.to(x.dtype)
