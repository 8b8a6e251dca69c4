"""Where a reconstruction starts: the linear reconstruction that results are compared with."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from deepinv.physics import LinearPhysics
from torch import Tensor


@runtime_checkable
class HasInitial(Protocol):
    """A physics that knows a good start, as every one in `gradprox.physics` does."""

    def initial(self, y: Tensor) -> Tensor:
        """Return images ``(B, C, H, W)`` from measurements."""


def initial_image(y: Tensor, physics: LinearPhysics) -> Tensor:
    """Return the start for measurements ``y``: the physics' own choice, or ``A^T y``."""
    return physics.initial(y) if isinstance(physics, HasInitial) else physics.A_adjoint(y)
