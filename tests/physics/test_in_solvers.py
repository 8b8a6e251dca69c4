"""Every problem works in every solver: the exact objective descends, for images of several at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gradprox.solvers import FISTA, HQS, PGD
from tests.physics.cases import CASES

SOLVERS: dict[str, Any] = {
    "pgd": PGD(sigma=0.1, max_iter=6, tol=0),
    "fista": FISTA(sigma=0.1, max_iter=6, tol=0),
    "hqs": HQS(sigma=0.1, lambda_reg=0.05, max_iter=6, tol=0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_exact_objective_never_rises(name, solver, prox):
    build, shape, _ = CASES[name]
    physics = build().double()
    y = physics.A(torch.rand(2, *shape, dtype=torch.float64))
    y = y + 0.05 * torch.randn_like(y)
    result = SOLVERS[solver](y, physics, prox)
    objective = result.objective[:, 1:]  # proximal solvers do not know it before their first step
    assert objective.isfinite().all()
    rises = objective.diff(dim=1) / objective.abs().amax(dim=1, keepdim=True)
    assert rises.max() <= 1e-10
    assert result.objective_increases.tolist() == [0, 0]
    assert result.x.shape == (2, *shape)
