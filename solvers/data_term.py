"""The contract of data terms ``f(x) = d(A x, y)``: value, gradient, rounding error, dual prox, and selection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics import LinearMap
from gradprox.solvers.per_image_physics import (
    images_are_known,
    is_per_image,
    physics_of_images,
)

# Lowest and highest value of a pixel.
Box = tuple[float, float]

D = TypeVar("D", bound="DataTerm")


@dataclass(frozen=True)
class DataTerm(ABC):
    """``f(x) = d(A x, y)`` of each image in a batch.

    Attributes:
        y: measurements, batch first.
        physics: the linear operator ``A``.
        lipschitz: a proven upper bound of the Lipschitz constant of ``grad f``; infinite where none is known.
    """

    y: Tensor
    physics: LinearMap
    lipschitz: float

    @property
    @abstractmethod
    def squared_norm(self) -> float:
        """Return a proven upper bound of ``|A|^2``; infinite where none is known."""

    @property
    def box(self) -> Box | None:
        """Return the range of pixels outside which ``f`` may be infinite; None where ``f`` is finite everywhere."""
        return None

    def start_inside(self, x: Tensor) -> Tensor:
        """Return ``x``, or, for images where ``f`` is infinite, images nearby where it is finite."""
        return x

    @abstractmethod
    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f(x)``, ``(B,)`` in double precision, and ``grad f(x)``."""

    @abstractmethod
    def value_of_measurements(self, u: Tensor) -> Tensor:
        """Return ``d(u, y)``, ``(B,)`` in double precision."""

    @abstractmethod
    def rounding(self, x: Tensor, value: Tensor) -> Tensor:
        """Bound the rounding error of ``value = f(x)``, ``(B,)`` (see `gradprox.solvers.rounding`)."""

    @abstractmethod
    def dual_prox(self, u: Tensor, step: float) -> Tensor:
        """Return the prox of ``step d(., y)*``, the convex conjugate, at ``u``, shaped like ``y``."""

    def value(self, x: Tensor) -> Tensor:
        """Return ``f(x)``, ``(B,)``."""
        return self.value_of_measurements(self.physics.A(x))

    def splits(self) -> bool:
        """Return whether `select` can drop images: it must be known which tensors of the physics belong to one."""
        return self.y.shape[0] == 1 or images_are_known(self.physics, self.y.shape[0])

    @abstractmethod
    def select(self: D, keep: Tensor) -> D:
        """Return the data term of the images at the indices ``keep``."""

    def _physics_of(self, keep: Tensor) -> LinearMap:
        return physics_of_images(self.physics, keep, self.y.shape[0])

    def _is_per_image(self, values: Tensor) -> bool:
        return is_per_image(values, self.y.shape[0])


class FittedDataTerm(DataTerm):
    """A data term that can be fitted to an image nearby by linear algebra."""

    @abstractmethod
    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:
        """Return ``x`` with a lower ``f(x) + weight |x - z|^2/2`` than ``start``, at or near the minimum."""

    @abstractmethod
    def hessian(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the product of images with the Hessian of ``f`` at ``x``."""


class QuadraticDataTerm(FittedDataTerm):
    """A least-squares term: its gradient is affine, and a fit minimizes; iterative methods begin at ``start``."""


def quadratic(data: DataTerm) -> QuadraticDataTerm:
    """Return the data term itself if it is quadratic.

    Raises:
        InputError: it is not.
    """
    if not isinstance(data, QuadraticDataTerm):
        raise InputError(
            f"fidelity: {type(data).__name__} is not quadratic, so a least-squares fit does not exist"
        )
    return data


def fitted(data: DataTerm) -> FittedDataTerm:
    """Return the data term itself if it can be fitted.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(data, FittedDataTerm):
        raise InputError(f"fidelity: {type(data).__name__} cannot be fitted by linear algebra")
    return data
