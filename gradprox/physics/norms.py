"""Proven squared norms of forward operators: the Lipschitz constant of ``grad |A x - y|^2 / 2``."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from deepinv.physics import MRI, BlurFFT, Denoising, Inpainting, Physics

from gradprox.errors import InputError


@runtime_checkable
class HasSquaredNorm(Protocol):
    """A physics that knows its norm, as every one in `gradprox.physics` does."""

    def squared_norm(self) -> float:
        """Return ``|A|^2``, or a proven upper bound of it."""


def squared_norm(physics: Physics) -> float:
    """Return ``|A|^2`` or a proven upper bound, never an estimate.

    A power iteration (`deepinv.physics.LinearPhysics.compute_sqnorm`) approaches the norm from below, and a step
    size proven from it is not proven.

    Raises:
        InputError: nothing is known of this physics.
    """
    if isinstance(physics, HasSquaredNorm):
        return float(physics.squared_norm())
    if isinstance(physics, Denoising):
        return 1.0
    if isinstance(physics, BlurFFT | Inpainting | MRI):
        # All are diagonal, in Fourier space or in pixels, and `mask` holds the moduli of the diagonal.
        return float(physics.mask.abs().max()) ** 2
    raise InputError(
        f"no proven norm is known for {type(physics).__name__}: give the solver lipschitz=..., an upper bound of "
        "|A|^2, or use HQS or NMAPG, which need none"
    )
