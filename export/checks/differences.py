"""The Jacobian of a map of images that can only be evaluated, by central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradprox.certificates import eigenvalue_range, symmetry_defect


def neighbors(y: NDArray[Any], step: float) -> NDArray[Any]:
    """Return ``y`` with one pixel raised by ``step``, each in turn, then lowered: ``(2 y.size, *y.shape)``."""
    steps = step * np.eye(y.size).reshape(y.size, *y.shape)
    return np.concatenate([y + steps, y - steps])


def jacobian_figures(x: NDArray[Any], step: float) -> tuple[float, float]:
    """Return what the values at all `neighbors` say of the Jacobian.

    Args:
        x: the values, in the order of the neighbors.
        step: as of the neighbors.

    Returns:
        The symmetry defect, and the smallest eigenvalue of the symmetric part relative to the largest modulus.
    """
    ahead, behind = np.split(x.reshape(len(x), -1), 2)
    jacobian = torch.from_numpy((ahead - behind).T / (2 * step)).double()
    lowest, highest = eigenvalue_range(jacobian)
    return symmetry_defect(jacobian), lowest / max(abs(lowest), abs(highest))
