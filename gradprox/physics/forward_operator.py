"""The base class of all operators here: `deepinv.physics.LinearPhysics` that keeps the contract `Physics`."""

from __future__ import annotations

from abc import abstractmethod

from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.batch import PRECISIONS
from gradprox.errors import InputError
from gradprox.physics.checks import Shape, check_batch


class ForwardOperator(LinearPhysics):
    """A linear operator of `deepinv` with a proven norm, which checks images and measurements.

    A subclass defines `image_shape`, `measurement_shape`, ``A``, ``A_adjoint`` and `squared_norm`. It overrides the
    other methods where it knows more.
    """

    @property
    @abstractmethod
    def image_shape(self) -> Shape:
        """Shape ``(C, H, W)`` of one image; None where any length fits."""

    @property
    @abstractmethod
    def measurement_shape(self) -> Shape:
        """Shape of the measurements of one image, channels first; None where any length fits."""

    @property
    def images(self) -> int | None:
        """How many images the operator is for; None if it treats any number alike."""
        return None

    @abstractmethod
    def squared_norm(self) -> float:
        """Return ``|A|^2`` or a proven upper bound of it, never an estimate."""

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:  # noqa: ARG002
        """Return None: ``argmin_x |A x - y|^2 + weight |x - z|^2`` has no closed form."""
        return None

    def initial(self, y: Tensor) -> Tensor:
        """Return ``A^T y``, the images at which a reconstruction starts."""
        start: Tensor = self.A_adjoint(y)
        return start

    def visible(self, x: Tensor) -> Tensor:
        """Return ``x``: all of it lies in the frame."""
        return x

    def check_images(self, x: Tensor) -> None:
        """Refuse images that the operator is not made for.

        Raises:
            InputError: they are no tensor of float32 or float64, or have another shape.
        """
        self._check_precision()
        check_batch("x", x, self.image_shape, self.images)

    def check_measurements(self, y: Tensor) -> None:
        """Refuse measurements that the operator cannot have made.

        Raises:
            InputError: they are no tensor of float32 or float64, or have another shape.
        """
        self._check_precision()
        check_batch("y", y, self.measurement_shape, self.images)

    def _check_precision(self) -> None:
        """Refuse to work after ``half()``: the norm was proven for the parameters before."""
        for buffer in self.buffers():
            if buffer.is_floating_point() and buffer.dtype not in PRECISIONS:
                raise InputError(
                    f"{type(self).__name__} computes in float32 or float64, not in half precision: build it again"
                )


def images_of(parameter: Tensor) -> int | None:
    """Return for how many images a parameter ``(1 or B, ...)`` is: None if it is the same for all."""
    return None if parameter.shape[0] == 1 else parameter.shape[0]


def channels_of(parameter: Tensor) -> int | None:
    """Return for how many channels a parameter ``(1 or B, 1 or C, ...)`` is: None if it is the same for all."""
    return None if parameter.shape[1] == 1 else parameter.shape[1]
