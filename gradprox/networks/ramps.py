"""The primitive of the ramp ``clip(r, 0, 1)``, which gates and splines share."""

from __future__ import annotations

import torch
from torch import Tensor


def ramp_primitive(r: Tensor, clipped: Tensor) -> Tensor:
    """Return ``p (r - p/2)`` with ``p = clip(r, 0, 1)``, the primitive of ``p`` that is 0 for negative ``r``."""
    return torch.sub(r, clipped, alpha=0.5) * clipped
