"""The contract of forward operators: everything that solvers ask of a physics, in one place.

Every operator of `gradprox.physics` keeps `Physics`, through the base class in ``forward_operator.py``. Solvers take
any other `deepinv.physics.LinearPhysics` too. The functions below give its norm, its start and its closed form, as far
as they are known.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from deepinv.physics import (
    MRI,
    Blur,
    BlurFFT,
    Denoising,
    Downsampling,
    Inpainting,
    LinearPhysics,
    SinglePixelCamera,
    SpaceVaryingBlur,
    TiledSpaceVaryingBlur,
)
from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics.starts import back_projection, extended, known_pixels

# The paddings of deepinv's `Blur` and `Downsampling` that are a convolution: of the image, of the image among zeros, or
# on a torus.
CONVOLUTIONS = ("valid", "circular", "constant", "zeros")


class LinearMap(Protocol):
    """A linear operator ``A`` with its adjoint: all that a data term needs of a physics.

    Images are ``(B, C, H, W)``; measurements have the batch first, and a shape of the operator's own.
    """

    def A(self, x: Tensor) -> Tensor:
        """Return the noiseless measurements of images."""

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Return ``A^T y``."""


# Each of the next four methods is used wherever a physics has it, alone or with the others.
@runtime_checkable
class KnowsNorm(Protocol):
    """A physics with a proven norm."""

    def squared_norm(self) -> float:
        """Return ``|A|^2`` or a proven upper bound of it, never an estimate."""


@runtime_checkable
class KnowsInverse(Protocol):
    """A physics with a closed form of regularized least squares."""

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, or None where there is no closed form."""


@runtime_checkable
class SolvesFits(Protocol):
    """A physics that solves the normal equations of weighted least squares faster than a general method does."""

    def solve_fit(
        self, right: Tensor, weight: float, start: Tensor, weights: Tensor | None, tolerance: float
    ) -> Tensor:
        """Return ``x`` with ``(A^T W A + weight) x = right``.

        Args:
            right: the right-hand side, images ``(B, C, H, W)``.
            weight: above 0.
            start: the images at which iterations begin.
            weights: the diagonal of ``W``, nonnegative, of the shape of the measurements; None for 1.
            tolerance: largest norm of the residual, relative to that of ``right``.
        """


@runtime_checkable
class KnowsStart(Protocol):
    """A physics with a start of its own."""

    def initial(self, y: Tensor) -> Tensor:
        """Return the images at which a reconstruction starts."""


@runtime_checkable
class Physics(LinearMap, KnowsNorm, KnowsInverse, KnowsStart, Protocol):
    """A linear forward operator with a proven norm, a start, and a closed form where there is one."""

    def visible(self, x: Tensor) -> Tensor:
        """Return the part of the images that lies in the frame of the photo."""


def squared_norm(physics: LinearPhysics) -> float:
    """Return ``|A|^2`` or a proven upper bound: the Lipschitz constant of ``grad |A x - y|^2 / 2``.

    It is never an estimate. A power iteration (`deepinv.physics.LinearPhysics.compute_sqnorm`) approaches the norm from
    below, so a step size computed from it is not proven.

    Raises:
        InputError: no bound is known for this physics.
    """
    if isinstance(physics, KnowsNorm):
        return float(physics.squared_norm())
    if isinstance(physics, Denoising):
        return 1.0
    if isinstance(physics, BlurFFT | Inpainting | MRI | SinglePixelCamera):
        # All are diagonal between orthonormal bases, and `mask` holds the moduli of the diagonal.
        return float(physics.mask.abs().max()) ** 2
    if isinstance(physics, Downsampling) and physics.filter is None:
        return 1.0  # a selection of pixels
    if (
        isinstance(physics, Blur | Downsampling)
        and physics.padding in CONVOLUTIONS
        and physics.filter is not None
    ):
        # Young's inequality: |h * x| <= |h|_1 |x|. A selection of its pixels is no longer.
        return float(physics.filter.abs().sum(dim=(-2, -1)).max()) ** 2
    raise InputError(
        f"no proven norm is known for {type(physics).__name__}: give the solver an upper bound of |A|^2 as "
        "lipschitz=..., give the physics a method squared_norm(), or use HQS or NMAPG, which need no bound"
    )


def regularized_inverse(physics: LinearMap, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
    """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, or None where no closed form is known."""
    return physics.regularized_inverse(z, y, weight) if isinstance(physics, KnowsInverse) else None


def initial_image(y: Tensor, physics: LinearPhysics) -> Tensor:
    """Return the linear reconstruction at which solvers start.

    It is the physics' own choice, or ``A^T y``. For some operators of deepinv, ``A^T y`` is dark at the border, dark
    everywhere, or black where nothing was measured. There, measurements of a constant image give this image.
    """
    if isinstance(physics, KnowsStart):
        return physics.initial(y)
    if isinstance(physics, Inpainting):
        return known_pixels(y, physics.mask)
    start: Tensor = physics.A_adjoint(y)
    if isinstance(physics, Downsampling):
        return back_projection(start, physics.A_adjoint(physics.A(torch.ones_like(start))))
    if isinstance(physics, Blur | SpaceVaryingBlur | TiledSpaceVaryingBlur) and start.shape != y.shape:
        return extended(y, start.shape[-2], start.shape[-1])
    return start
