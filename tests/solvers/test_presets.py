"""Presets: a physics with a norm that only the user knows, and the status of planned steps."""

from __future__ import annotations

import pytest
import torch
from deepinv.physics import LinearPhysics

from gradprox.errors import InputError
from gradprox.physics import Denoising
from gradprox.solvers import Status
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
    assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)  # a number of steps was asked for


def test_a_preset_that_takes_its_planned_steps_is_completed(prox):
    y = torch.rand(1, 1, 12, 10, dtype=torch.float64)
    planned = preset(Task.DEBLUR, 0.05, tol=0)
    result = planned(y, Denoising(), prox)
    assert result.status == [Status.COMPLETED]
    assert result.status[0].succeeded
    assert int(result.steps) == planned.max_iter
    limited = preset(Task.DEBLUR, 0.05, tol=0, max_iter=3)
    assert limited(y, Denoising(), prox).status == [Status.MAX_ITER]
