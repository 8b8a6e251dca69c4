"""Missing pixels."""

from __future__ import annotations

import deepinv
import torch
from torch import Tensor
from torch.nn import functional as F

from gradprox.errors import InputError


class Inpainting(deepinv.physics.Inpainting):
    """Each pixel times its weight in a mask: 1 where it is known, 0 where it is missing.

    Args:
        mask: ``(1 or B, 1 or C, H, W)``, finite and not negative.

    Raises:
        InputError: it is no such mask.
    """

    def __init__(self, mask: Tensor) -> None:
        if (
            mask.ndim != 4
            or not mask.is_floating_point()
            or not bool(((mask >= 0) & (mask < torch.inf)).all())
        ):
            raise InputError("a mask is (1 or B, 1 or C, H, W), floating point, finite and not negative")
        super().__init__(img_size=tuple(mask.shape[1:]), mask=mask, device=mask.device)

    def squared_norm(self) -> float:
        """Return the largest squared weight: exact."""
        return float(self.mask.max()) ** 2

    def initial(self, y: Tensor) -> Tensor:
        """Return the known pixels, and for each missing one a mean of those around it, as far away as need be."""
        known = (self.mask > 0).to(y.dtype).expand_as(y)
        return _filled(torch.where(known > 0, y / self.mask, 0.0), known)

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, pixel by pixel."""
        return (self.mask * y + weight * z) / (self.mask.square() + weight)


def _filled(x: Tensor, known: Tensor) -> Tensor:
    """Fill what is not known, 0 in ``known``, from the filled image of half the size (push and pull)."""
    if bool((known > 0).all()) or max(x.shape[-2:]) == 1:
        return x  # what is unknown at every scale stays 0
    sums, counts = (F.avg_pool2d(part, 2, ceil_mode=True) for part in (known * x, known))
    half = _filled(torch.where(counts > 0, sums / counts, 0.0), (counts > 0).to(x.dtype))
    around = F.interpolate(half, scale_factor=2, mode="bilinear")[..., : x.shape[-2], : x.shape[-1]]
    return torch.where(known > 0, x, around)
