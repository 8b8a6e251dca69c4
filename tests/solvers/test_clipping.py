"""Over- and underexposed measurements: an interval of values in the place of one."""

from __future__ import annotations

import pytest
import torch

from gradprox import load_model
from gradprox.errors import InputError
from gradprox.networks import DeepPotential, DeepPotentialConfig
from gradprox.physics import CircularBlur, ValidBlur, gaussian_kernel
from gradprox.priors import GradientStepDenoiser
from gradprox.solvers import (
    ADMM,
    FISTA,
    GD,
    HQS,
    NMAPG,
    ClippedL2,
    Continuation,
    PrimalDual,
    WeightedL2,
    build_data_term,
    deblur_images,
    preset,
)
from gradprox.solvers.clipping import ClippedTerm

SIZE = (14, 13)
KERNEL = gaussian_kernel(1.0).double()
PHYSICS = {"circular": CircularBlur(KERNEL, SIZE), "valid": ValidBlur(KERNEL, SIZE)}


@pytest.fixture(params=PHYSICS)
def physics(request):
    return PHYSICS[request.param]


@pytest.fixture
def y(physics):
    """Return measurements of which about a third is clipped, white and black."""
    generator = torch.Generator().manual_seed(0)
    scene = 0.5 + 2 * torch.randn(2, 1, *SIZE, dtype=torch.float64, generator=generator)
    y = physics.A(scene).clamp(0, 1)
    assert 0.2 < ((y == 0) | (y == 1)).double().mean() < 0.8
    return y


@pytest.fixture
def weights(y):
    """Return the weights of measurements, from 0.5 to 3."""
    return 0.5 + 2.5 * torch.rand(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.fixture(params=["equal", "weighted"])
def data(request, physics, y, weights):
    found = build_data_term(y, physics, ClippedL2(weights=weights if request.param == "weighted" else None))
    assert isinstance(found, ClippedTerm)
    return found


def image(seed):
    return torch.randn(2, 1, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def energy_only():
    torch.manual_seed(0)
    network = DeepPotential(DeepPotentialConfig(widths=(4, 4), blocks=(1, 1))).double()
    return GradientStepDenoiser(network.requires_grad_(False))


def test_only_violations_count(physics, y, data):
    x = image(1)
    u = physics.A(x)
    violation = torch.where(y == 1, (1 - u).clamp_min(0), torch.where(y == 0, u.clamp_min(0), u - y))
    squares = data.distance.weights * violation.square()
    torch.testing.assert_close(data.value(x), squares.flatten(1).sum(dim=1) / 2)


def test_the_gradient_is_that_of_the_value(data):
    x = image(1).requires_grad_()
    (expected,) = torch.autograd.grad(data.value(x).sum(), x)
    torch.testing.assert_close(data.value_and_gradient(x.detach())[1], expected)


def test_its_lipschitz_constant_is_that_of_the_largest_weight(physics, data):
    assert data.lipschitz == float(data.distance.weights.max()) * physics.squared_norm()
    for seed in range(20):
        a, b = image(seed), image(seed + 100)
        change = data.value_and_gradient(a)[1] - data.value_and_gradient(b)[1]
        assert change.norm() <= data.lipschitz * (a - b).norm() * (1 + 1e-12)


def test_least_squares_with_the_nearest_values_majorize(physics, y, data):
    for seed in range(10):
        x, at = image(seed), image(seed + 100)
        nearest = data.distance.nearest(physics.A(at), y)
        majorizer = build_data_term(nearest, physics, WeightedL2(data.distance.weights))
        assert (data.value(x) <= majorizer.value(x)).all()
        torch.testing.assert_close(data.value(at), majorizer.value(at))


@pytest.mark.parametrize("weight", [0.01, 1.0])
def test_a_fit_lowers_its_function(data, weight):
    for seed in range(10):
        start, z = image(seed), image(seed + 100)

        def function(x, z=z):
            return data.value(x) + weight * (x - z).square().flatten(1).sum(dim=1) / 2

        assert (function(data.fit(z, weight, start)) < function(start)).all()


def test_the_prox_of_the_distance_minimizes():
    distance = ClippedL2(weights=torch.tensor([[0.5], [1.0], [2.0]]).double()).d
    u, y = torch.linspace(-2, 3, 101).double()[None], torch.tensor([[0.0], [0.4], [1.0]]).double()
    u, y = u.expand(3, -1), y.expand(-1, 101)
    found = distance.prox(u, y, gamma=0.7)
    candidates = torch.linspace(-3, 4, 20001).double()[:, None, None]
    nearest = distance.nearest(candidates, y)
    value = 0.7 * distance.weights * (candidates - nearest).square() / 2 + (candidates - u).square() / 2
    torch.testing.assert_close(found, candidates[value.argmin(dim=0), 0, 0], rtol=0, atol=4e-4)


@pytest.mark.parametrize("without_prox", [False, True], ids=["prox", "energy only"])
@pytest.mark.parametrize("kind", [HQS, NMAPG])
def test_the_exact_objective_never_rises(kind, without_prox, physics, y, weights, prox, energy_only):
    settings = {"memory": 0.0} if kind is NMAPG else {}
    solver = kind(sigma=0.1, lambda_reg=0.05, max_iter=25, tol=0, **settings)
    fidelity = ClippedL2(weights=weights)
    result = solver(y, physics, energy_only if without_prox else prox, fidelity=fidelity)
    assert result.objective_increases.tolist() == [0, 0]
    assert (result.objective.diff(dim=1) <= 1e-12).all()


def test_weighted_least_squares_are_those_of_scaled_measurements(physics, y, weights):
    data, z = build_data_term(y, physics, WeightedL2(weights)), image(3)
    scale = weights.sqrt()
    # The columns of W^(1/2) A, from the images of single pixels.
    pixels = torch.eye(z[0].numel(), dtype=torch.float64).reshape(-1, 1, *z.shape[-2:])
    fitted = data.fit(z, 0.3, image(4))
    for i in range(2):
        matrix = (scale[i] * physics.A(pixels)).flatten(1).T
        normal = matrix.T @ matrix + 0.3 * torch.eye(matrix.shape[1], dtype=torch.float64)
        expected = torch.linalg.solve(normal, matrix.T @ (scale[i] * y[i]).flatten() + 0.3 * z[i].flatten())
        torch.testing.assert_close(fitted[i].flatten(), expected, rtol=0, atol=1e-4)


def test_each_image_keeps_its_weights(physics, y, weights, prox):
    solver = HQS(sigma=0.1, lambda_reg=0.05, max_iter=4, tol=0)
    together = solver(y, physics, prox, fidelity=ClippedL2(weights=weights)).x
    for i in range(2):
        alone = solver(y[i : i + 1], physics, prox, fidelity=ClippedL2(weights=weights[i : i + 1])).x
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-5)
    chosen = build_data_term(y, physics, ClippedL2(weights=weights)).select(torch.tensor([1]))
    torch.testing.assert_close(chosen.distance.weights, weights[1:])


def test_rounding_does_not_decide_which_measurements_count(data, y):
    rounding = 1e-7 * torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert data.counted(y + rounding).all()
    assert not data.counted(y + 1e-3 * torch.sign(y - 0.5))[(y == 0) | (y == 1)].any()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_are_positive(value):
    with pytest.raises(InputError, match="must be positive and finite"):
        WeightedL2(torch.tensor([1.0, value]))


def test_weights_fit_the_measurements(physics, y, prox):
    for shape in ((3,), (1, *y.shape)):
        with pytest.raises(InputError, match=r"^fidelity: weights of shape .* do not extend to y of shape"):
            HQS(sigma=0.1)(y, physics, prox, fidelity=WeightedL2(torch.ones(shape)))


def test_without_clipping_it_is_least_squares(physics, prox):
    y = physics.A(0.4 + 0.1 * image(0).clamp(-1, 1))
    assert ((y > 0) & (y < 1)).all()
    solver = HQS(sigma=0.1, lambda_reg=0.05, max_iter=5)
    with_it, without = (solver(y, physics, prox, fidelity=f) for f in (ClippedL2(), None))
    # One solves the fit in closed form, the other by conjugate gradients.
    torch.testing.assert_close(with_it.x, without.x, rtol=0, atol=1e-4)
    torch.testing.assert_close(with_it.objective, without.objective, rtol=1e-4, atol=0)


@pytest.mark.parametrize("solver", [GD(sigma=0.1), FISTA(sigma=0.1), ADMM(sigma=0.1)])
def test_solvers_that_need_equations_refuse(solver, physics, y, prox):
    with pytest.raises(InputError, match=r"^fidelity: \w+ supports only least squares, not ClippedL2"):
        solver(y, physics, prox, fidelity=ClippedL2())


def test_every_other_solver_takes_it(physics, y, prox):
    for solver in (Continuation(sigma=0.05, max_iter=3), PrimalDual(sigma=0.1, max_iter=20)):
        assert torch.isfinite(solver(y, physics, prox, fidelity=ClippedL2()).x).all()


@pytest.mark.parametrize("levels", [(1.0, 0.0), (0.5, 0.5), (float("nan"), 1.0)])
def test_black_is_below_white(levels):
    with pytest.raises(InputError, match="must be below white"):
        ClippedL2(*levels)


def test_a_fit_descends_even_if_newton_steps_do_not(data, monkeypatch):
    monkeypatch.setattr(ClippedTerm, "_newton", lambda self, z, weight, x, counted: x + 10)
    test_a_fit_lowers_its_function(data, 0.1)


def test_lamps_do_not_ring():
    scene = torch.full((1, 1, 40, 40), 0.3)
    scene[..., 8:11, 9:12], scene[..., 27:30, 25:28] = 8.0, 5.0
    kernel = gaussian_kernel(1.5)
    y = CircularBlur(kernel, (40, 40)).A(scene).clamp(0, 1)
    prior, errors = load_model("gray-fast"), []
    for fidelity in (ClippedL2(), None):
        x, _ = deblur_images(y, kernel, prior, preset("deblur", 0.01), boundary="circular", fidelity=fidelity)
        errors.append(float((x.clamp(0, 1) - scene.clamp(0, 1)).square().mean()))
    assert errors[0] < errors[1] / 1.6  # 2 dB
