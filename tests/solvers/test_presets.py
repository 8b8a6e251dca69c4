"""Presets: for a physics whose norm only the user knows."""

from __future__ import annotations

import pytest
import torch
from deepinv.physics import LinearPhysics

from gradprox.errors import InputError
from gradprox.solvers.presets import SOLVERS, Task, preset


@pytest.fixture
def physics():
    """Return a physics that says nothing of its norm, which is 1/2."""
    mask = torch.rand(1, 1, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    mask[0, 0, 0, 0] = 0.5
    return LinearPhysics(A=lambda x, **_: mask * x, A_adjoint=lambda y, **_: mask * y)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_norm_that_is_not_known_is_given(physics, name, prox):
    y = physics(torch.rand(1, 1, 12, 10, dtype=torch.float64))
    chosen = {"task": Task.COMPRESSED_SENSING, "noise": 0.02, "solver": name, "max_iter": 3}
    with pytest.raises(InputError, match="lipschitz"):
        preset(**chosen)(y, physics, prox)
    result = preset(**chosen, lipschitz=0.25)(y, physics, prox)
    assert torch.isfinite(result.x).all()
    assert int(result.objective_increases.sum()) == 0
