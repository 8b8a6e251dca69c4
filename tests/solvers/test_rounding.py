"""The bound of rounding errors: above every error that was found, and not far above."""

from __future__ import annotations

import pytest
import torch

from gradprox import load_model
from gradprox.physics import (
    BlockSensing,
    CircularBlur,
    HadamardSensing,
    SymmetricBlur,
    ValidBlur,
    gaussian_kernel,
    gaussian_matrix,
    motion_kernel,
)
from gradprox.priors import LearnedProx
from gradprox.solvers import GD, HQS, PGD, Status, build_data_term, smooth_state

SIZE = (33, 29)
PHYSICS = {
    "circular": lambda: CircularBlur(gaussian_kernel(1.0), SIZE),
    "valid": lambda: ValidBlur(motion_kernel(5, 30), SIZE),
    "symmetric": lambda: SymmetricBlur(gaussian_kernel(1.0), SIZE),
    "hadamard": lambda: HadamardSensing(SIZE, 240),
    "blocks": lambda: BlockSensing(gaussian_matrix(64, seed=0, block=16), SIZE),
}
IMAGES = {
    "flat": torch.full((1, 1, *SIZE), 0.3),
    "bright": torch.full((1, 1, *SIZE), 30.0),
    "black": torch.zeros(1, 1, *SIZE),
    "random": torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("name", PHYSICS)
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-2])
def test_single_precision_stays_within_the_bound(name, image, noise, make_network):
    single, double = PHYSICS[name](), PHYSICS[name]().double()
    prior = LearnedProx(make_network(spread=0.3))
    x = IMAGES[image]
    y = single.A(x) + noise * torch.randn(single.A(x).shape)
    double_state = smooth_state(build_data_term(y.double(), double), prior, 0.05, 0.2, x.double())
    state = smooth_state(build_data_term(y, single), prior.float(), 0.05, 0.2, x)
    error = float((state.objective - double_state.objective).abs())
    assert error <= float(state.rounding)
    # Double precision has its own, smaller bound.
    assert double_state.rounding < 1e-7 * state.rounding + 1e-30


def test_the_bound_is_small_beside_the_objective_of_a_noisy_image(make_network):
    physics, x = PHYSICS["circular"](), IMAGES["random"]
    y = physics.A(x) + 0.05 * torch.randn(x.shape)
    state = smooth_state(build_data_term(y, physics), LearnedProx(make_network()).float(), 0.05, 0.1, x)
    assert float(state.rounding) < 2e-4 * float(state.objective)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("noise", [0.0, 1e-7, 1e-5])
@pytest.mark.parametrize(
    "solver",
    [PGD(sigma=0.03), GD(sigma=0.03, lambda_reg=0.1), HQS(sigma=0.03, lambda_reg=0.1)],
    ids=["pgd", "gd", "hqs"],
)
def test_flat_images_neither_rise_nor_diverge(solver, level, noise, dtype, shipped):
    # The kernel does not fit the measurements, which are not blurred.
    physics = CircularBlur(motion_kernel(7, 30).to(dtype), (24, 20))
    physics = physics.double() if dtype is torch.float64 else physics
    y = torch.full((1, 1, 24, 20), level, dtype=dtype)
    y = y + noise * torch.randn_like(y)
    prior = shipped if dtype is torch.float64 else load_model("gray-small")
    result = solver(y, physics, prior)
    assert int(result.objective_increases) == 0
    assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)
