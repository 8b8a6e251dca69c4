"""Numbers of a solver that become inputs of its exported graph."""

from __future__ import annotations

import math

from torch import Tensor

# A setting: a number, or an input of an exported solver, a tensor of one value.
Scalar = float | Tensor


def is_finite(value: Scalar) -> bool:
    """Return whether a number is finite; a tensor is, as a graph is traced only for bounds that are known."""
    return isinstance(value, Tensor) or math.isfinite(value)
