"""The border between the arrays of this package and the tensors that it hands out.

Reading, writing and estimating work on numpy arrays, so they need no torch. Only `as_tensor` imports it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradprox.dependencies import dependencies

if TYPE_CHECKING:
    from torch import Tensor as Tensor

    Pixels = Tensor | NDArray[Any]


def as_array(values: Pixels) -> NDArray[Any]:
    """Return the values of a tensor on any device, or of an array, as an array; it may share their memory."""
    return values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()


def as_tensor(values: Pixels) -> Tensor:
    """Return an array, or a tensor, as a tensor; it may share their memory.

    Raises:
        ModuleNotFoundError: torch is not installed.
    """
    if not isinstance(values, np.ndarray):
        return values
    with dependencies():
        import torch
    return torch.from_numpy(values)


def namespace_of(values: Pixels) -> Any:
    """Return ``numpy`` for an array, ``torch`` for a tensor: for formulas that work on both."""
    return np if isinstance(values, np.ndarray) else sys.modules["torch"]
