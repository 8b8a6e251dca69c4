"""Least-squares fits in graphs: ``argmin_x |A x - y|^2/2 + weight |x - z|^2/2``, in double precision.

A fit with a small weight amplifies rounding errors, so single precision is not enough. Each operator states the normal
equations in coordinates that suit it. Conjugate gradients then solve them, or a closed form does where there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from gradprox.physics import BlockSensing, HadamardSensing


class Equations(ABC):
    """An operator ``A`` with the normal equations of its fits.

    Weights are tensors in a shape that broadcasts against images and coordinates.
    """

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:
        """Return ``A x`` in double precision."""

    @abstractmethod
    def A_adjoint(self, y: Tensor) -> Tensor:
        """Return ``A^T y`` in double precision."""

    @abstractmethod
    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates of images, batch first; the coordinates are orthonormal."""

    @abstractmethod
    def images(self, coordinates: Tensor) -> Tensor:
        """Return the images ``(B, C, H, W)``, in double precision, that have these coordinates."""

    @abstractmethod
    def back(self, y: Tensor) -> Tensor:
        """Return the coordinates of ``A^T y``."""

    @abstractmethod
    def normal_operator(self, coordinates: Tensor, weight: Tensor) -> Tensor:
        """Return the coordinates of ``A^T A x + weight x`` for those of ``x``."""

    def measured(self, coordinates: Tensor) -> Tensor:
        """Return ``A x`` in double precision for the coordinates of ``x``."""
        return self.A(self.images(coordinates))

    def counting_operator(self, coordinates: Tensor, counted: Tensor, weight: Tensor) -> Tensor:
        """Return the coordinates of ``A^T M A x + weight x`` for those of ``x``.

        ``M`` sets the measurements to 0 that are not ``counted``, a tensor of bools.
        """
        return self.back(counted * self.measured(coordinates)) + weight * coordinates

    def precondition(
        self,
        coordinates: Tensor,
        weight: Tensor,  # noqa: ARG002
        borders: tuple[Tensor, ...] = (),  # noqa: ARG002
    ) -> Tensor:
        """Return about ``(A^T A + weight)^-1 v`` for the coordinates of ``v``; the coordinates where nothing is known.

        ``borders`` are the tensors of `Problem.borders`. The map is symmetric and positive definite, see
        `gradprox.networks.linear_systems`.
        """
        return coordinates

    @abstractmethod
    def closed_fit(self, z: Tensor, y: Tensor, back: Tensor, weight: Tensor) -> Tensor | None:
        """Return the fitted images, or None where there is no closed form; ``back`` is that of ``y``."""


class PixelEquations(Equations):
    """Equations whose coordinates are the pixels, in double precision."""

    def coordinates(self, x: Tensor) -> Tensor:
        """See `Equations.coordinates`."""
        return x.double()

    def images(self, coordinates: Tensor) -> Tensor:
        """See `Equations.images`."""
        return coordinates

    def back(self, y: Tensor) -> Tensor:
        """See `Equations.back`."""
        return self.A_adjoint(y)


class SensingEquations(PixelEquations):
    """Compressed sensing: the coordinates are the pixels.

    Args:
        physics: the measurements, in double precision.
    """

    def __init__(self, physics: HadamardSensing | BlockSensing) -> None:
        self.physics = physics

    def A(self, x: Tensor) -> Tensor:
        """See `Equations.A`."""
        return self.physics.A(x.double())

    def A_adjoint(self, y: Tensor) -> Tensor:
        """See `Equations.A_adjoint`."""
        return self.physics.A_adjoint(y.double())

    def normal_operator(self, coordinates: Tensor, weight: Tensor) -> Tensor:
        """See `Equations.normal_operator`."""
        return self.physics.A_adjoint(self.physics.A(coordinates)) + weight * coordinates

    def closed_fit(self, z: Tensor, y: Tensor, back: Tensor, weight: Tensor) -> Tensor | None:  # noqa: ARG002
        """See `Equations.closed_fit`."""
        inverse = self.physics.regularized_inverse
        return inverse(z.double(), y.double(), weight)  # type: ignore[arg-type]  # one weight per image, not a number
