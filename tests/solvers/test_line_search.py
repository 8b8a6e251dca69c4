"""Priors with an explicit energy only: every accepted step lowers the exact objective, or the image is stalled."""

from __future__ import annotations

import math

import pytest
import torch

from gradprox import example_image, load_model
from gradprox.errors import InputError
from gradprox.networks import DeepPotential, DeepPotentialConfig
from gradprox.physics import CircularBlur, Denoising, gaussian_kernel, motion_kernel
from gradprox.priors import GradientStepDenoiser
from gradprox.solvers import ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, Status, Task, preset
from gradprox.solvers import hqs as hqs_module
from gradprox.solvers import smooth_objective as smooth_module
from gradprox.solvers.line_search import Found, backtrack

SEARCHING = [HQS, GD, NMAPG]
SETTINGS = {"sigma": 0.05, "lambda_reg": 0.1}


@pytest.fixture
def prior():
    """Return a deep energy with random weights, whose curvature is far above 1."""
    torch.manual_seed(0)
    network = DeepPotential(DeepPotentialConfig(widths=(5, 6), blocks=(1, 1))).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    return GradientStepDenoiser(network.requires_grad_(False))


@pytest.fixture
def problem():
    physics = CircularBlur(gaussian_kernel(1.0).double(), (12, 10))
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(3, 1, 12, 10, generator=generator, dtype=torch.float64)
    return physics, physics(x) + 0.01 * torch.randn(x.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("solver", SEARCHING)
def test_the_exact_objective_falls_at_every_step(solver, prior, problem):
    physics, y = problem
    more = {"memory": 0.0} if solver is NMAPG else {}
    result = solver(**SETTINGS, **more, max_iter=25)(y, physics, prior)
    assert result.objective_increases.tolist() == [0, 0, 0]
    assert (result.objective.diff(dim=1) < 0).all()
    x = result.x
    exact = (physics.A(x) - y).square().flatten(1).sum(dim=1) / 2 + 0.1 * prior.regularizer(x, 0.05)
    torch.testing.assert_close(result.objective[:, -1], exact)


@pytest.mark.parametrize(("solver", "module"), [(HQS, hqs_module), (GD, smooth_module)])
def test_without_the_search_it_would_rise(solver, module, prior, problem, monkeypatch):
    def first_trial(attempt, length, proven=0.0):
        return Found(attempt(length)[0], length, torch.ones_like(length, dtype=torch.bool))

    monkeypatch.setattr(module, "backtrack", first_trial)
    physics, y = problem
    result = solver(**SETTINGS, max_iter=25)(y, physics, prior)
    assert int(result.objective_increases.sum()) > 0 or Status.DIVERGED in result.status


@pytest.mark.parametrize("solver", SEARCHING)
def test_images_of_a_batch_search_by_themselves(solver, prior, problem):
    physics, y = problem
    together = solver(**SETTINGS, max_iter=8)(y, physics, prior)
    for i in range(len(y)):
        alone = solver(**SETTINGS, max_iter=8)(y[i : i + 1], physics, prior)
        torch.testing.assert_close(together.x[i : i + 1], alone.x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", SEARCHING)
def test_it_converges_to_a_stationary_point(solver, prior, problem):
    physics, y = problem
    result = solver(**SETTINGS, max_iter=400, tol=1e-8)(y[:1], physics, prior)
    x = result.x
    gradient = physics.A_adjoint(physics.A(x) - y[:1]) + 0.1 * prior.regularizer_grad(x, 0.05)
    start = physics.A_adjoint(physics.A(y[:1]) - y[:1]) + 0.1 * prior.regularizer_grad(y[:1], 0.05)
    assert gradient.norm() < 0.02 * start.norm()


class Misleading(GradientStepDenoiser):
    """A prior that is not the gradient step of its energy: the direction leads uphill."""

    def denoise_with_energy(self, y, sigma):
        denoised, energy = super().denoise_with_energy(y, sigma)
        return 2 * y - denoised, energy


@pytest.mark.parametrize("solver", SEARCHING)
def test_a_step_that_cannot_descend_is_a_status(solver, prior, problem):
    physics, y = problem
    result = solver(sigma=0.05, lambda_reg=1e4, max_iter=10)(y, physics, Misleading(prior.network))
    assert result.status == [Status.STALLED] * 3
    assert torch.isfinite(result.x).all()
    assert result.objective_increases.tolist() == [0, 0, 0]
    assert "line search" in Status.STALLED.advice
    assert not Status.STALLED.succeeded


@pytest.mark.parametrize("solver", [PGD, FISTA, ADMM, DRS])
def test_solvers_that_need_a_prox_refuse_and_say_why(solver, prior, problem):
    physics, y = problem
    with pytest.raises(InputError, match=r"needs a proximal operator.*only an explicit energy"):
        solver(sigma=0.05)(y, physics, prior)


def test_lengths_are_halved_until_they_are_accepted_and_not_below_the_proven_one(prior, problem):
    physics, y = problem
    state = GD(**SETTINGS).start(GD(**SETTINGS).prepare(y, physics, prior)[0], prior, y)
    longest = torch.tensor([1.0, 0.2, 0.05], dtype=torch.float64)
    tried = []

    def attempt(length):
        tried.append(length.tolist())
        return state, torch.where(length <= longest, state.objective, state.objective - 1)

    found = backtrack(attempt, torch.ones(3, dtype=torch.float64), proven=0.125)
    assert tried == [[1, 1, 1], [1, 0.5, 0.5], [1, 0.25, 0.25], [1, 0.125, 0.125]]
    assert found.length.tolist() == [1, 0.125, 0.125]
    assert found.accepted.all()


def test_the_shipped_deep_model_restores_better_and_its_objective_never_rises():
    clean = example_image().mean(dim=1, keepdim=True)[..., 60:156, 80:176].contiguous()
    physics = CircularBlur(motion_kernel(9, 30), (96, 96))
    y = physics.A(clean) + 0.01 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    chosen, psnr = preset(Task.DEBLUR, 0.01), {}
    for name in ("gray-fast", "gray-deep"):
        result = chosen(y, physics, load_model(name))
        assert int(result.objective_increases) == 0
        assert result.status[0].succeeded
        psnr[name] = -10 * math.log10(float((result.x - clean).square().mean()))
    assert psnr["gray-deep"] > psnr["gray-fast"] + 0.1


class Ravine(GradientStepDenoiser):
    """The energy ``sum w (x - 1)^2 / 2``, whose weights differ by many orders of magnitude; it proves no bound."""

    def __init__(self, weights):
        super().__init__(DeepPotential(DeepPotentialConfig(widths=(4, 4), blocks=(1, 1))).double())
        self.weights = weights

    def denoise_with_energy(self, y, sigma):
        off = y - 1
        return y - self.weights * off, (self.weights * off.square()).flatten(1).sum(dim=1) / 2


@pytest.mark.parametrize("solver", SEARCHING)
def test_a_step_that_the_search_cut_short_is_no_proof_of_convergence(solver):
    weights = torch.ones(1, 1, 8, 9, dtype=torch.float64)
    weights[..., 0, 0] = (
        1e6  # one steep pixel allows steps of a millionth; all others are far from their minimum
    )
    y = torch.zeros_like(weights)
    y[..., 0, 0] = 1.00001
    x0 = torch.full_like(y, 0.1)
    x0[..., 0, 0] = 1.00001
    result = solver(sigma=0.05, lambda_reg=1.0, max_iter=5)(y, Denoising(), Ravine(weights), x0=x0)
    assert result.residual.min() < 1e-4  # below the tolerance, and yet
    assert (result.x - 0.5).abs().mean() > 0.3  # the minimum is 1/2
    assert result.status == [Status.MAX_ITER]


def test_extrapolated_points_lie_in_the_box(prior, problem, monkeypatch):
    physics, y = problem
    seen = []
    denoise = GradientStepDenoiser.denoise_with_energy

    def recorded(self, x, sigma):
        seen.append((float(x.min()), float(x.max())))
        return denoise(self, x, sigma)

    monkeypatch.setattr(GradientStepDenoiser, "denoise_with_energy", recorded)
    box = (0.4, 0.6)
    NMAPG(**SETTINGS, box=box, max_iter=8, tol=0)(y, physics, prior)
    assert min(low for low, _ in seen) >= box[0]
    assert max(high for _, high in seen) <= box[1]
