"""Data terms in closed form against the same written out, and against automatic differentiation."""

from __future__ import annotations

from itertools import pairwise

import deepinv
import pytest
import torch

from gradprox.networks.linear_systems import conjugate_gradients
from gradprox.physics import CircularBlur, ValidBlur, gaussian_kernel, motion_kernel
from gradprox.solvers.circular_least_squares import CircularLeastSquares
from gradprox.solvers.fidelity import build_data_term
from gradprox.solvers.least_squares import LeastSquares


@pytest.mark.parametrize("size", [(8, 9), (9, 8), (7, 6)])
@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_a_circular_blur_in_fourier_space_is_the_one_in_pixels(size, weight):
    physics = deepinv.physics.BlurFFT((2, *size), filter=torch.rand(3, 1, 3, 4, dtype=torch.float64))
    y, x, z = torch.randn(3, 3, 2, *size, dtype=torch.float64)
    fast = CircularLeastSquares.of(y, physics, 1.0, weight)
    naive = LeastSquares(y, physics, 1.0, weight)
    keep = torch.tensor([0, 2])
    for ours, reference, points in (
        (fast, naive, (x, z)),
        (fast.select(keep), naive.select(keep), (x[keep], z[keep])),
    ):
        a, b = points
        torch.testing.assert_close(ours.value_and_gradient(a), reference.value_and_gradient(a))
        torch.testing.assert_close(ours.value(a), reference.value(a))
        torch.testing.assert_close(ours.fit(b, 3.0, a), reference.fit(b, 3.0, a), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "fidelity", [deepinv.optim.L2(sigma=0.3), deepinv.optim.L1(), deepinv.optim.PoissonLikelihood(bkg=0.1)]
)
@pytest.mark.parametrize(
    "physics",
    [CircularBlur(gaussian_kernel(0.6).double(), (8, 9)), ValidBlur(motion_kernel(3, 0).double(), (8, 9))],
)
def test_gradients_and_dual_steps_belong_to_the_value(fidelity, physics):
    physics = physics.double()
    x = torch.rand(2, 1, 8, 9, dtype=torch.float64) + 0.5
    y = torch.rand_like(physics.A(x))
    data = build_data_term(y, physics, fidelity)
    free = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(data.value_of_measurements(physics.A(free)).sum(), free)
    value, gradient = data.value_and_gradient(x)
    torch.testing.assert_close(value, data.value(x))
    torch.testing.assert_close(gradient, slope)
    # Moreau: v is the dual prox of u exactly if (u - v)/step is the prox of d/step at u/step.
    u, step = torch.rand_like(y) * 2, 0.7
    near = (u - data.dual_prox(u, step)) / step
    best = step * (near - u / step).square().flatten(1).sum(dim=1) / 2 + data.value_of_measurements(near)
    for size in (1e-2, 1e-4):
        rival = near + size * torch.randn_like(near)
        other = step * (rival - u / step).square().flatten(1).sum(dim=1) / 2 + data.value_of_measurements(
            rival
        )
        assert (other > best).all()


def test_conjugate_gradients_solve_each_image_by_itself():
    matrix = torch.randn(6, 6, dtype=torch.float64)
    matrix = matrix @ matrix.T + torch.eye(6)
    right = torch.randn(3, 6, dtype=torch.float64)
    right[1] = 0
    start = torch.stack([torch.zeros(6), torch.zeros(6), torch.linalg.solve(matrix, right[2])]).double()

    def solve(right, start):
        x, arrived = conjugate_gradients(lambda x: x @ matrix, right, start, tolerance=1e-6, steps=40)
        assert arrived.all()
        return x

    x = solve(right, start)
    torch.testing.assert_close(x, torch.linalg.solve(matrix, right.T).T, rtol=0, atol=1e-5)
    assert torch.equal(x[1:], start[1:])
    assert torch.equal(x[:1], solve(right[:1], start[:1]))
    assert torch.equal(x[:1], solve(right[:1], None))


def test_every_preconditioned_step_lowers_the_function():
    matrix, factor = torch.randn(2, 6, 6, dtype=torch.float64)
    matrix = matrix @ matrix.T + 0.01 * torch.eye(6)
    poor = factor @ factor.T + 0.01 * torch.eye(6)  # positive definite, but no approximate inverse
    right = torch.randn(1, 6, dtype=torch.float64)
    values = []
    for steps in range(7):
        x, _ = conjugate_gradients(
            lambda v: v @ matrix,
            right,
            torch.ones_like(right),
            tolerance=0.0,
            steps=steps,
            precondition=lambda v: v @ poor,
        )
        values.append(float((x @ matrix * x).sum() / 2 - (right * x).sum()))
    assert all(after < before for before, after in pairwise(values))
    torch.testing.assert_close(x, torch.linalg.solve(matrix, right.T).T)
