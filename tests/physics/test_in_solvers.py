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
    # An image stops before the last step only where a step changes nothing at all, as denoising may at once.
    taken = torch.arange(objective.shape[1]) < result.steps[:, None]
    assert torch.equal(objective.isfinite(), taken)
    assert all(result.residual[i, result.steps[i] - 1] == 0 for i in range(2) if not taken[i].all())
    rises = objective.diff(dim=1)[taken[:, 1:]]
    assert rises.max() <= 1e-10 * objective[taken].max()
    assert result.objective_increases.tolist() == [0, 0]
    assert result.x.shape == (2, *shape)
