"""Random small problems: certified solvers never raise the exact objective, and fixed points are stationary."""

from __future__ import annotations

import random
from typing import Any

import deepinv
import pytest
import torch

from gradprox.physics import BlockSensing, CircularBlur, HadamardSensing, squared_norm
from gradprox.priors import LearnedProx
from gradprox.solvers import ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, Solver, Status

RISE = 1e-10
EXPLICIT = GD | HQS | NMAPG


def random_physics(draw: random.Random, size: tuple[int, int]) -> deepinv.physics.LinearPhysics:
    kind = draw.choice(["blur", "hadamard", "blocks", "inpainting"])
    if kind == "blur":
        kernel = torch.rand(1, 1, draw.randint(1, 4), draw.randint(1, 4), dtype=torch.float64)
        return CircularBlur(draw.uniform(0.2, 2) * kernel / kernel.sum(), size).double()
    if kind == "hadamard":
        return HadamardSensing(size, draw.randint(1, size[0] * size[1]), seed=draw.randint(0, 99))
    if kind == "blocks":
        return BlockSensing(torch.randn(draw.randint(1, 9), 9, dtype=torch.float64), size).double()
    return deepinv.physics.Inpainting((1, *size), mask=(torch.rand(1, 1, *size) > draw.random()).double())


def random_solver(draw: random.Random, physics: deepinv.physics.LinearPhysics, prox: LearnedProx) -> Solver:
    norm = squared_norm(physics)
    common: dict[str, Any] = {"sigma": 10 ** draw.uniform(-2.5, -0.5), "max_iter": 15, "tol": 0}
    lambda_reg = 10 ** draw.uniform(-2, 1)
    part = draw.uniform(0.05, 0.99)
    proximal = part * (2 - prox.weak_convexity()) / norm
    return draw.choice(
        [
            lambda: PGD(stepsize=proximal, **common),
            lambda: FISTA(stepsize=proximal, inertia=draw.uniform(2, 9), **common),
            lambda: GD(lambda_reg=lambda_reg, stepsize=part * 2 / (norm + lambda_reg), **common),
            lambda: GD(lambda_reg=lambda_reg, box=(0.2, 0.7), **common),
            lambda: HQS(lambda_reg=lambda_reg, **common),
            lambda: ADMM(stepsize=part / norm, **common),
            lambda: DRS(stepsize=part / norm, relaxation=draw.uniform(0.1, 1.99), **common),
            lambda: NMAPG(lambda_reg=lambda_reg, memory=draw.choice([0, 0.8]), **common),
            lambda: NMAPG(lambda_reg=lambda_reg, box=(0.2, 0.7), **common),
        ]
    )()


def defect(solver: Any, physics: Any, prox: LearnedProx, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return an image that is zero exactly at stationary points."""
    gradient = physics.A_adjoint(physics.A(x) - y)
    if not isinstance(solver, EXPLICIT):
        tau = solver.stepsize
        return x - prox(x - tau * gradient, solver.sigma)
    slope = gradient + solver.lambda_reg * (x - prox(x, solver.sigma))
    box = getattr(solver, "box", None)
    return slope if box is None else x - (x - slope).clamp(*box)


def check(seed: int, make_network: Any, *, fixed_point: bool) -> bool:
    """Check one problem; return whether a longer run converged, so that its fixed point was checked too."""
    torch.manual_seed(seed)
    draw = random.Random(seed)  # noqa: S311
    size = (draw.randint(4, 12), draw.randint(4, 12))
    kind = draw.choice(["ridge", "energy-gated"])
    prox = LearnedProx(make_network(kind, draw.choice([0.0, 0.3, 1.0, 3.0])))
    physics = random_physics(draw, size)
    x = torch.rand(1, 1, *size, dtype=torch.float64)
    y = physics.A(x)
    y = y + 10 ** draw.uniform(-3, 0) * torch.randn_like(y)
    if squared_norm(physics) == 0:  # nothing is left of the image
        return False
    solver = random_solver(draw, physics, prox)
    start = draw.choice([None, torch.randn_like(x)])

    merits = []
    result = solver(y, physics, prox, x0=start, callback=lambda step: merits.append(step.state.merit[0]))
    known = torch.stack(merits)
    rise = float(known.diff().clamp_min(0).sum() / known.abs().max())  # 0 of an image that stays as it is
    assert rise <= RISE, f"seed {seed}: {solver} raised the objective by {rise:.1e}"
    assert int(result.objective_increases) == 0, f"seed {seed}: {solver}"

    if not fixed_point:
        return False
    patient = vars(solver) | {"max_iter": 100, "tol": 1e-7}
    again = type(solver)(**patient)(y, physics, prox, x0=start)
    if again.status != [Status.CONVERGED]:
        return False
    found = float(defect(solver, physics, prox, y, again.x).norm() / again.x.norm())
    scale = max(1.0, squared_norm(physics)) * max(1.0, getattr(solver, "lambda_reg", 1.0))
    # Short steps stop early: a change of tol per step leaves tol / step.
    assert found <= 1e-7 * 1e3 * scale, f"seed {seed}: {solver} stopped at a defect of {found:.1e}"
    return True


@pytest.mark.filterwarnings("ignore:.*is made for noise")
def test_fifty_random_problems(make_network):
    converged = sum(check(seed, make_network, fixed_point=seed % 5 == 0) for seed in range(50))
    assert converged >= 2


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(1000, 2000, 100))
def test_a_thousand_random_problems(make_network, hundred):
    converged = sum(check(seed, make_network, fixed_point=True) for seed in range(hundred, hundred + 100))
    assert converged >= 10
