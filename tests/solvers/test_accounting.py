"""The count of objective increases: zero for every certified run, and one for every rise that is planted."""

from __future__ import annotations

import dataclasses

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradprox import load_model
from gradprox.physics import CircularBlur, HadamardSensing, SymmetricBlur, ValidBlur
from gradprox.solvers import ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, SmoothState, Status

PRIOR = load_model("gray-small")
QUICK = settings(derandomize=True, deadline=None, max_examples=25, database=None)
SOLVERS = (
    PGD(sigma=0.05, max_iter=40, tol=0),
    FISTA(sigma=0.05, max_iter=40, tol=0),
    GD(sigma=0.05, lambda_reg=0.3, max_iter=40, tol=0),
    GD(sigma=0.05, lambda_reg=0.3, box=(0, 1), max_iter=40, tol=0),
    HQS(sigma=0.05, lambda_reg=0.1, max_iter=40, tol=0),
    ADMM(sigma=0.05, max_iter=40, tol=0),
    DRS(sigma=0.05, relaxation=1.5, max_iter=40, tol=0),
    NMAPG(sigma=0.05, lambda_reg=0.3, memory=0.0, max_iter=40, tol=0),
    NMAPG(sigma=0.05, lambda_reg=0.3, box=(0, 1), max_iter=40, tol=0),
)


@st.composite
def problems(draw):
    """Draw a physics, measurements, a start and a prior of one precision."""
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    size = draw(st.integers(5, 14)), draw(st.integers(5, 14))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    image = draw(
        st.sampled_from(
            [
                torch.zeros(1, 1, *size),
                torch.full((1, 1, *size), 0.3),
                torch.ones(1, 1, *size),
                torch.rand(1, 1, *size),
            ]
        )
    ).to(dtype)
    kernel = torch.rand(1, 1, draw(st.integers(1, 4)), draw(st.integers(1, 4)), dtype=dtype)
    kernel = kernel / kernel.sum() * draw(st.sampled_from([1.0, 0.1, 3.0]))
    physics = {
        "circular": lambda: CircularBlur(kernel, size),
        "valid": lambda: ValidBlur(kernel, size),
        "symmetric": lambda: SymmetricBlur(kernel, size),
        "hadamard": lambda: HadamardSensing(size, size[0] * size[1] // 2),
    }[draw(st.sampled_from(["circular", "circular", "valid", "symmetric", "hadamard"]))]()
    physics = physics.double() if dtype is torch.float64 else physics
    y = physics.A(image)
    y = y + draw(st.sampled_from([0.0, 0.0, 1e-7, 1e-3, 0.1])) * torch.randn_like(y)
    if draw(st.booleans()):  # a kernel that does not fit what was measured
        y = y.roll(1, dims=-1)
    x0 = draw(st.sampled_from([None, image]))
    return physics, y, x0, PRIOR.to(dtype)


@QUICK
@given(problems(), st.sampled_from(SOLVERS))
def test_no_certified_run_counts_an_increase(problem, solver):
    physics, y, x0, prior = problem
    result = solver(y, physics, prior, x0=x0)
    assert result.certified
    assert int(result.objective_increases) == 0
    assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)
    assert torch.isfinite(result.x).all()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rising(GD):
    """Gradient descent that claims, after its first step, an objective higher by so many rounding bounds."""

    bounds: float

    def step(self, data, prior, state: SmoothState) -> SmoothState:
        new = super().step(data, prior, state)
        rise = self.bounds * (state.rounding + new.rounding)
        return dataclasses.replace(new, objective=state.objective + rise)


@QUICK
@given(problems())
def test_a_planted_rise_of_ten_times_the_bound_is_counted(problem):
    physics, y, x0, prior = problem
    for bounds, counted in ((10.0, 1), (0.5, 0)):
        solver = Rising(sigma=0.05, lambda_reg=0.3, max_iter=1, tol=0, bounds=bounds)
        assert int(solver(y, physics, prior, x0=x0).objective_increases) == counted


def test_a_rise_of_a_thousandth_is_counted_in_single_precision(make_image):
    # The bound is no licence: at usual noise it is a small part of the objective.
    physics = CircularBlur(torch.ones(1, 1, 3, 3) / 9, (32, 32))
    y = physics.A(make_image(32, 32).float())
    y = y + 0.05 * torch.randn_like(y)

    class Planted(GD):
        def step(self, data, prior, state):
            new = super().step(data, prior, state)
            return dataclasses.replace(new, objective=state.objective * 1.001)

    result = Planted(sigma=0.05, lambda_reg=0.1, max_iter=1)(y, physics, PRIOR.float())
    assert int(result.objective_increases) == 1
