"""Black and dark images: no relative change divides by zero, and Poisson counts of zero have a likelihood."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox import InputError
from gradprox.physics import CircularBlur, Denoising, ValidBlur, gaussian_kernel, motion_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import ADMM, DRS, FISTA, GD, HQS, NMAPG, PGD, PrimalDual, Status

SIZE = (12, 15)
SOLVERS = {
    "pgd": PGD(sigma=0.1),
    "fista": FISTA(sigma=0.1),
    "gd": GD(sigma=0.1, lambda_reg=0.3),
    "hqs": HQS(sigma=0.1, lambda_reg=0.3),
    "admm": ADMM(sigma=0.1),
    "drs": DRS(sigma=0.1),
    "nmapg": NMAPG(sigma=0.1, lambda_reg=0.3),
    "primal-dual": PrimalDual(sigma=0.1, lambda_reg=0.3),
}


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("start", [0.0, 1e-30, 0.5])
def test_black_measurements_converge_to_black(solver, start, dtype, make_network):
    physics = Denoising()
    y = torch.zeros(1, 1, *SIZE, dtype=dtype)
    result = solver(y, physics, LearnedProx(make_network()).to(dtype), x0=torch.full_like(y, start))
    assert result.status == [Status.CONVERGED]
    assert result.x.abs().max() < 1e-3
    assert int(result.objective_increases) == 0 or not result.certified


def test_an_iterate_that_becomes_exactly_zero_is_a_result(make_network):
    class Vanishing(LearnedProx):
        """The prox of the indicator of the black image."""

        def denoise_with_energy(self, y, sigma):
            return torch.zeros_like(y), y.square().flatten(1).sum(dim=1) / 2

    y = torch.full((1, 1, *SIZE), 0.5, dtype=torch.float64)
    result = PGD(sigma=0.1)(y, Denoising(), Vanishing(make_network()))
    assert result.status == [Status.CONVERGED]
    assert not result.x.any()
    assert torch.isfinite(result.residual).all()


def dark_frame(gain, bkg, physics):
    """Return counts of a dark frame with a bright square, and its intensity."""
    clean = torch.zeros(1, 1, *SIZE, dtype=torch.float64)
    clean[..., 4:8, 5:9] = 1.0
    rates = physics.A(clean).clamp_min(0) / gain + bkg
    return torch.poisson(rates, generator=torch.Generator().manual_seed(3)), clean


@pytest.mark.parametrize("box", [None, (0.0, 2.0)])
@pytest.mark.parametrize("bkg", [0.0, 0.5])
@pytest.mark.parametrize(
    "physics",
    [
        Denoising(),
        CircularBlur(gaussian_kernel(0.6).double(), SIZE),
        ValidBlur(motion_kernel(3, 0).double(), SIZE),
    ],
    ids=["denoising", "circular", "valid"],
)
def test_dark_frames_are_restored(physics, bkg, box, shipped):
    physics, gain = physics.double(), 0.1
    counts, clean = dark_frame(gain, bkg, physics)
    assert (counts == 0).any() or bkg > 0
    fidelity = deepinv.optim.PoissonLikelihood(gain=gain, bkg=bkg, denormalize=False)
    x0 = physics.initial(gain * (counts - bkg))
    solver = NMAPG(sigma=0.2, lambda_reg=10.0, box=box, max_iter=60)
    result = solver(counts, physics, shipped, fidelity=fidelity, x0=x0)
    assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)
    assert int(result.objective_increases) == 0
    assert torch.isfinite(result.objective[0, : int(result.steps) + 1]).all()
    assert result.x.min() >= 0
    assert (result.x - clean).square().mean() <= 1.5 * (x0 - clean).square().mean()


@pytest.mark.parametrize("bkg", [0.0, 0.5])
def test_the_likelihood_is_infinite_beyond_its_domain(bkg):
    from gradprox.solvers.poisson import PoissonLikelihood

    likelihood = PoissonLikelihood(gain=1.0, bkg=bkg)
    counts = torch.tensor([[0.0, 2.0]], dtype=torch.float64)

    def value(first, second):
        return float(likelihood(torch.tensor([[first - bkg, second - bkg]], dtype=torch.float64), counts))

    assert value(0.0, 2.0) == pytest.approx(2 - 2 - 2 * torch.tensor(2.0).log().item())
    assert value(-0.1, 2.0) == float("inf")
    assert value(1.0, 0.0) == float("inf")
    assert value(1.0, -0.1) == float("inf")
    # A transform's rounding error below zero is zero.
    assert value(-1e-16, 2.0) == pytest.approx(value(0.0, 2.0))
    slope = likelihood.grad(torch.tensor([[-bkg, 2.0 - bkg]], dtype=torch.float64), counts)
    assert slope.tolist() == [[1.0, 0.0]]


def test_a_start_without_intensity_where_there_are_counts_is_lifted(make_network):
    counts = torch.zeros(1, 1, *SIZE, dtype=torch.float64)
    counts[..., 5, 5] = 4.0
    fidelity = deepinv.optim.PoissonLikelihood()
    prior = LearnedProx(make_network())
    result = NMAPG(sigma=0.1, max_iter=20)(
        counts, Denoising(), prior, fidelity=fidelity, x0=torch.zeros_like(counts)
    )
    assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)
    assert torch.isfinite(result.objective[0, : int(result.steps) + 1]).all()


def test_negative_counts_are_refused(prox):
    y = torch.full((1, 1, *SIZE), -1.0, dtype=torch.float64)
    with pytest.raises(InputError, match=r"^y: Poisson counts must not be negative"):
        NMAPG(sigma=0.1)(y, Denoising(), prox, fidelity=deepinv.optim.PoissonLikelihood())


def test_a_box_outside_the_domain_is_refused(prox):
    y = torch.ones(1, 1, *SIZE, dtype=torch.float64)
    with pytest.raises(InputError, match=r"^box: no pixel"):
        NMAPG(sigma=0.1, box=(-2, -1))(y, Denoising(), prox, fidelity=deepinv.optim.PoissonLikelihood())
