"""What a solver asks of the data term ``f(x) = d(A x, y)``."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from deepinv.physics import Blur, BlurFFT, Inpainting, LinearPhysics
from torch import Tensor

# Physics whose four-dimensional buffers (kernels, masks), if there are as many as images, are one per image.
ONE_PER_IMAGE = (Blur, BlurFFT, Inpainting)

D = TypeVar("D", bound="DataTerm")


@dataclass(frozen=True)
class DataTerm(ABC):
    """``f(x) = d(A x, y)`` of each image in a batch.

    Attributes:
        y: measurements, batch first.
        physics: the linear operator ``A``.
        lipschitz: a proven upper bound of the Lipschitz constant of ``grad f``; infinite where none is known.
        quadratic: whether ``f`` is a least-squares term, so that ``grad f`` is affine and `fit` works.
    """

    quadratic: ClassVar[bool]

    y: Tensor
    physics: LinearPhysics
    lipschitz: float

    @property
    @abstractmethod
    def squared_norm(self) -> float:
        """Return a proven upper bound of ``|A|^2``; infinite where none is known."""

    @abstractmethod
    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f(x)``, ``(B,)`` in double precision, and ``grad f(x)``."""

    @abstractmethod
    def value_of_measurements(self, u: Tensor) -> Tensor:
        """Return ``d(u, y)``, ``(B,)`` in double precision."""

    @abstractmethod
    def dual_prox(self, u: Tensor, step: float) -> Tensor:
        """Return the prox of ``step d(., y)*``, the convex conjugate, at ``u``, shaped like ``y``."""

    @abstractmethod
    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:
        """Return ``argmin_x f(x) + weight |x - z|^2/2``; only for quadratic data terms."""

    def value(self, x: Tensor) -> Tensor:
        """Return ``f(x)``, ``(B,)``."""
        return self.value_of_measurements(self.physics.A(x))

    def splits(self) -> bool:
        """Say whether `select` may drop images: whether it is known which parts of the physics are whose."""
        return (
            self.y.shape[0] == 1
            or isinstance(self.physics, ONE_PER_IMAGE)
            or not any(self._one_per_image(buffer) for buffer in self.physics.buffers())
        )

    def select(self: D, keep: Tensor) -> D:
        """Return the data term of the images at indices ``keep``."""
        physics = copy.copy(self.physics)
        vars(physics)["_buffers"] = {
            name: buffer[keep] if buffer is not None and self._one_per_image(buffer) else buffer
            for name, buffer in self.physics._buffers.items()
        }
        return replace(self, y=self.y[keep], physics=physics)

    def _one_per_image(self, buffer: Tensor) -> bool:
        batch = self.y.shape[0]
        return batch > 1 and buffer.ndim >= 4 and buffer.shape[0] == batch
