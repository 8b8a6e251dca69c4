"""The result of an exported solver."""

from __future__ import annotations

import numpy as np

from gradprox.export.runtime import Restoration


def test_a_restoration_prints_as_one_line() -> None:
    result = Restoration(
        np.zeros((2, 1, 30, 40), np.float32),
        ["converged", "max_iter"],
        np.array([3, 12]),
        np.zeros((2, 3)),
        np.zeros((2, 2)),
    )
    assert repr(result) == "Restoration(x: 2x1x30x40, status: 1 converged and 1 max_iter, steps: 3, 12)"
