"""Magnetic resonance imaging with a single coil."""

from __future__ import annotations

import deepinv
from torch import Tensor

from gradprox.errors import InputError


class SingleCoilMRI(deepinv.physics.MRI):
    """Some Fourier coefficients of a complex image; real and imaginary part are its two channels.

    A model for one channel restores either part by itself. Masks that leave out lines or points come from
    `deepinv.physics.generator`.

    Args:
        mask: which coefficients are measured, the lowest frequency at ``(H // 2, W // 2)``: 0 or 1, ``(H, W)``, or
            ``(B, 2, H, W)`` where every image has its own.

    Raises:
        InputError: it is no such mask.
    """

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim not in (2, 4) or not bool(((mask == 0) | (mask == 1)).all()):
            raise InputError(f"a mask is (H, W) or (B, 2, H, W), of zeros and ones; got {tuple(mask.shape)}")
        super().__init__(mask=mask, device=mask.device)

    def squared_norm(self) -> float:
        """Return 1, exact: a part of a unitary transform (0 where nothing is measured)."""
        return float(self.mask.max())

    def initial(self, y: Tensor) -> Tensor:
        """Return ``A^T y``: coefficients that are not measured are 0."""
        adjoint: Tensor = self.A_adjoint(y)
        return adjoint

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, by the Fourier transform."""
        inverse: Tensor = self.prox_l2(z, y, 1 / weight)
        return inverse
