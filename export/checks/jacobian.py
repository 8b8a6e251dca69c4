"""The Jacobian of a map of images by central differences, for maps without derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradprox.certificates import eigenvalue_range, symmetry_defect


def neighbors(y: NDArray[Any], step: float) -> NDArray[Any]:
    """Return copies of ``y``, ``(2 y.size, *y.shape)``: each pixel in turn raised by ``step``, then each lowered."""
    steps = step * np.eye(y.size).reshape(y.size, *y.shape)
    return np.concatenate([y + steps, y - steps])


def jacobian_figures(x: NDArray[Any], step: float) -> tuple[float, float]:
    """Return the symmetry and the smallest eigenvalue of the Jacobian.

    Args:
        x: the values of the map at all `neighbors`, in their order.
        step: the step of the neighbors.

    Returns:
        The symmetry defect, and the smallest eigenvalue of the symmetric part relative to the largest modulus.
    """
    ahead, behind = np.split(x.reshape(len(x), -1), 2)
    jacobian = torch.from_numpy((ahead - behind).T / (2 * step)).double()
    lowest, highest = eigenvalue_range(jacobian)
    return symmetry_defect(jacobian), lowest / max(abs(lowest), abs(highest))
