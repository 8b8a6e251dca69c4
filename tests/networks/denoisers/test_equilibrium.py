"""Equilibrium networks: the exact prox of an explicit regularizer, solved to a stated tolerance."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch.autograd import forward_ad

from gradprox.batch import image_sum
from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.networks import Equilibrium, EquilibriumConfig
from gradprox.networks.denoisers import descent, equilibrium, identity_path, implicit
from gradprox.networks.denoisers.descent import Descent, root_mean_square
from gradprox.networks.denoisers.identity_path import IdentityPath
from gradprox.networks.denoisers.implicit import WarmStart
from gradprox.priors import LearnedProx, load_network, save_network
from gradprox.zoo.models import FOLDER
from tests.conftest import identity_path_config

KINDS = [
    {},
    {"kind": "ridge", "channels": 3},
    {"gates": 3, "pairs": 5, "kernel_size": 6},
]
SIGMAS = [0.0, 10 / 255, 0.3]


def network(spread=0.3, *, start=False, weak_convexity=0.95, **kind):
    """Return a float64 network with random weights."""
    torch.manual_seed(0)
    inner = identity_path_config(**kind, gate_kind="firm")
    first = identity_path_config(channels=inner.channels) if start else None
    made = Equilibrium(
        EquilibriumConfig(kind="equilibrium", regularizer=inner, start=first, weak_convexity=weak_convexity)
    ).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += spread * torch.randn_like(parameter)
    return made.requires_grad_(False)


def images(batch=1, channels=1, size=(7, 8)):
    return torch.rand(batch, channels, *size, dtype=torch.float64)


def level(*sigma):
    return torch.tensor(sigma, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("size", [(5, 6), (1, 1), (1, 4)])
def test_jacobian_is_symmetric_and_within_its_bounds(kind, sigma, size):
    D = network(**kind)
    J = dense_jacobian(lambda v: D(v, level(sigma)), images(1, D.channels, size))
    assert symmetry_defect(J) <= 1e-10
    smallest, largest = eigenvalue_range(J)
    # The inverse of I + mu Hess R, whose eigenvalues lie between 1 - m and 1 + mu.
    assert smallest >= 1 / (1 + float(D.regularizer_weight(level(sigma)))) - 1e-10
    assert largest <= D.lipschitz_bound() + 1e-10


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_objective_is_strongly_convex_for_every_weight(spread):
    D, y, sigma = network(spread), images(), level(0.1)
    for scale in (1, 3):
        H = dense_jacobian(lambda v: D.objective_gradient(v, y, sigma), scale * images())
        smallest, largest = eigenvalue_range(H)
        assert smallest >= 0.05 - 1e-10
        assert largest <= 1 + float(D.regularizer_weight(sigma)) + 1e-10


def test_gates_of_unbounded_slope_would_break_convexity(monkeypatch):
    # The planted fault: ramp gates. One pass with them is monotone all the same.
    D, y, sigma = network(), images(), level(0.1)
    mu = float(D.regularizer_weight(sigma))
    torch.manual_seed(0)
    D.regularizer = IdentityPath(identity_path_config()).double().requires_grad_(False)
    monkeypatch.setattr(Equilibrium, "regularizer_weight", lambda self, sigma: torch.full_like(sigma, mu))
    smallest = min(
        eigenvalue_range(dense_jacobian(lambda v: D.objective_gradient(v, y, sigma), scale * y))[0]
        for scale in (0.5, 1, 2)
    )
    assert smallest < 0


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_network_is_the_gradient_of_its_potential(kind):
    D, sigma = network(**kind), level(1 / 255, 8 / 255, 60 / 255)
    y = images(3, D.channels, (9, 6)).requires_grad_()
    (gradient,) = torch.autograd.grad(D.potential(y, sigma).sum(), y)
    torch.testing.assert_close(gradient, D(y, sigma), rtol=0, atol=1e-11)


def test_it_is_the_prox_of_its_explicit_regularizer():
    D, y, sigma = network(), images(), level(0.1)
    x, mu = D(y, sigma), float(D.regularizer_weight(sigma))

    def explicit(z):
        return mu * D.regularizer.envelope_and_gradient(z, sigma)[0]

    # The identity of the exact prox gives phi(D(y)) = mu R(D(y)) without an inverse.
    torch.testing.assert_close(LearnedProx(D).value(y, 0.1), explicit(x), rtol=0, atol=1e-12)
    own = explicit(x) + image_sum((x - y).square()) / 2
    rivals = x + 10.0 ** -torch.randint(0, 5, (100, 1, 1, 1)) * torch.randn(100, *x.shape[1:]).double()
    assert float((own - explicit(rivals) - image_sum((rivals - y).square()) / 2).max()) <= 1e-13
    # D is inverted in closed form: x + mu grad R(x).
    torch.testing.assert_close(x + mu * (x - D.regularizer(x, sigma)), y, rtol=0, atol=1e-12)


def test_derivatives_may_have_a_looser_tolerance():
    D, y, sigma = network(start=True).float(), images(2, size=(40, 41)).float(), level(0.1).float()
    v = torch.randn_like(y)
    y.requires_grad_()
    found = {}
    for tolerance in (0.0, 0.1):
        (found[tolerance],) = torch.autograd.grad(D.solve(y, sigma, 0.0, tolerance), y, v)
    error = root_mean_square(found[0.1] - found[0.0])
    # A residual of a tenth, times the bound of the inverse Hessian.
    assert bool((error <= 0.1 * D.lipschitz_bound() * root_mean_square(v)).all())
    assert bool((error > 1e-3 * root_mean_square(found[0.0])).all())


# torch compiles its own forward-mode rules at first use, by functions that it has deprecated.
forward_mode = pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")

TRANSFORMS = {
    "jvp": lambda f, y, v: torch.func.jvp(f, (y,), (v,))[1],
    "jacfwd": lambda f, y, v: torch.func.jacfwd(f)(y).flatten(4) @ v.flatten(),
    "jacrev": lambda f, y, v: torch.func.jacrev(f)(y).flatten(4) @ v.flatten(),
    "vjp": lambda f, y, v: torch.func.vjp(f, y)[1](v)[0],
    "vmap of vjp": lambda f, y, v: torch.func.vmap(lambda w: torch.func.vjp(f, y)[1](w)[0])(v[None])[0],
    "vmap of jvp": lambda f, y, v: torch.func.vmap(lambda z, w: torch.func.jvp(f, (z,), (w,))[1])(
        y[None], v[None]
    )[0],
}


@forward_mode
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_function_transforms_see_the_implicit_derivative(transform):
    # Its Jacobian is symmetric, so all of them give the same product.
    D, y, sigma = network(), images(2, size=(3, 4)), level(0.1)
    v = torch.randn_like(y)
    with_grad = y.clone().requires_grad_()
    (expected,) = torch.autograd.grad(D(with_grad, sigma), with_grad, v)
    found = TRANSFORMS[transform](lambda z: D(z, sigma), y, v)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@forward_mode
def test_forward_mode_differentiates_with_respect_to_everything_without_gradients_recorded():
    D, y, sigma = network(start=True), images(2, size=(3, 4)), level(0.1)
    weights = dict(D.named_parameters())
    directions = {"y": torch.randn_like(y), "sigma": torch.ones_like(sigma)} | {
        name: torch.randn_like(weights[name])
        for name in ("regularizer.bank.weight", "regularizer.shrinkage.gates.log_excess")
    }
    step = 1e-6
    for name, direction in directions.items():

        def output(change, name=name, direction=direction):
            moved = {"y": y, "sigma": sigma} | weights
            moved[name] = change(moved[name], direction)
            return torch.func.functional_call(
                D, {key: moved[key] for key in weights}, (moved["y"], moved["sigma"])
            )

        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(output(forward_ad.make_dual)).tangent
        ahead, behind = (output(lambda x, d, h=h: x + h * d) for h in (step, -step))
        torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-7, msg=name)


def test_images_and_noise_levels_may_be_mapped():
    D, y = network(), images(3, size=(3, 4))
    levels = level(0.05, 0.1, 0.2)
    expected = D(y, levels)
    one_by_one = torch.func.vmap(lambda image, sigma: D(image[None], sigma[None])[0])(y, levels)
    torch.testing.assert_close(one_by_one, expected, rtol=0, atol=1e-12)
    same_image = torch.func.vmap(lambda sigma: D(y[:1], sigma[None])[0])(levels)
    torch.testing.assert_close(same_image, D(y[:1].expand(3, -1, -1, -1), levels), rtol=0, atol=1e-12)


def second_by_autograd(D, y):
    y = y.requires_grad_()
    (first,) = torch.autograd.grad(D(y, level(0.1)).square().sum(), y, create_graph=True)
    first.sum().backward()


@forward_mode
@pytest.mark.parametrize(
    "second",
    [
        second_by_autograd,
        lambda D, y: torch.func.hessian(lambda z: D(z, level(0.1)).square().sum())(y),
        lambda D, y: torch.func.jacrev(torch.func.jacrev(lambda z: D(z, level(0.1)).square().sum()))(y),
    ],
)
def test_second_derivatives_are_refused(second):
    # Implicit first derivatives do not contain the derivative of the Hessian, so second ones would be wrong.
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        second(network(), images(size=(3, 4)))


def test_exporters_are_told_why_iterations_cannot_be_traced():
    D = network().float()
    with pytest.raises(NotImplementedError, match="number of its iterations depends on the image"):
        torch.export.export(D, (images().float(), torch.tensor([0.1])))


@pytest.mark.parametrize("sigma", [1.0, 100.0, 1e4])
def test_beyond_its_noise_levels_results_stay_close_to_those_of_double_precision(sigma):
    D = load_network(FOLDER / "gray-equilibrium.safetensors")
    y = torch.rand(1, 1, 24, 20)
    exact = copy.deepcopy(D).double()(y.double(), level(sigma))
    torch.testing.assert_close(D(y, torch.tensor([sigma])).double(), exact, rtol=0, atol=2e-3)


def test_a_warm_start_saves_products_and_changes_nothing_else(monkeypatch):
    D, y, sigma = network(), images(2), level(0.1)
    v = torch.randn_like(y)
    y.requires_grad_()
    products = []
    apply = implicit.InverseHessian._counted
    monkeypatch.setattr(
        implicit.InverseHessian, "_counted", lambda self, v: products.append(None) or apply(self, v)
    )
    warm, found, count = WarmStart(), [], []
    for _ in range(2):
        products.clear()
        x = D.solve(y, sigma, 0.0, 0.0, warm)
        assert torch.equal(warm.solution, x)
        (derivative,) = torch.autograd.grad(x, y, v)
        found.append((x.detach(), derivative))
        count.append(len(products))
    # The second solve needs one product, which confirms that the first guess is the solution.
    assert count[1] == 1 < count[0]
    assert D.minimize(y.detach(), sigma, 0.0, warm.solution)[1].max() == 0
    cold = D.solve(y, sigma, 0.0, 0.0)
    for x, derivative in found:
        torch.testing.assert_close(x, cold, rtol=0, atol=1e-12)
        torch.testing.assert_close(derivative, torch.autograd.grad(cold, y, v, retain_graph=True)[0])
    # Another start leads to the same solution.
    torch.testing.assert_close(
        D.minimize(y.detach(), sigma, 0.0, torch.rand_like(y))[0], cold, rtol=0, atol=1e-12
    )


def test_single_precision_is_within_the_stated_tolerance():
    D, y, sigma = network(start=True), images(4, size=(20, 24)), level(0.1)
    exact = D(y, sigma)
    for tolerance in (0.1, 0.01, 0.001):
        D.tolerance = tolerance
        single = copy.deepcopy(D).float()(y.float(), sigma.float())
        error = (single.double() - exact).square().mean(dim=(1, 2, 3)).sqrt()
        assert (error <= tolerance * 0.1 * D.lipschitz_bound() + 1e-5).all()
    assert error.max() < 1e-3


def test_a_start_saves_steps_and_changes_nothing_else():
    class Known(torch.nn.Module):
        def forward(self, y, sigma):
            return exact.to(y.dtype)

    D, y, sigma = network(start=True), images(2, size=(20, 24)), level(0.1)
    exact = D(y, sigma)
    counts = []
    for start in (D.start, None, Known()):
        D.start = start
        torch.testing.assert_close(D(y, sigma), exact, rtol=0, atol=1e-12)
        single, steps = copy.deepcopy(D).float().minimize(y.float(), sigma.float(), D.tolerance)
        torch.testing.assert_close(single.double(), exact, rtol=0, atol=0.01)
        counts.append(int(steps.max()))
    assert counts[2] == 0 < min(counts[:2])


def test_steps_of_proven_length_take_over(monkeypatch):
    D, y, sigma = network(weak_convexity=0.5), images(2), level(0.1)
    shortest = 1 / (1 + D.regularizer_weight(sigma))
    monkeypatch.setattr(descent, "PATIENCE", 0)
    state, sizes = Descent.from_point(y), []
    for _ in range(20):
        gradient = D.objective_gradient(state.point, y, sigma)
        sizes.append(root_mean_square(gradient))
        state = D.advance(state, gradient, sigma)
        torch.testing.assert_close(state.length, shortest.expand(2))
    # Each leaves the proven share of the gradient.
    assert all(bool((new <= (1 - 0.5 * shortest) * old).all()) for old, new in pairwise(sizes))
    monkeypatch.undo()
    # Longer steps are taken first, until the gradient no longer falls.
    lengths, waiting = [], Descent.from_point(y)
    for _ in range(descent.PATIENCE + 3):
        gradient = D.objective_gradient(waiting.point, y, sigma)
        waiting = D.advance(waiting._replace(size=torch.zeros_like(waiting.size)), gradient, sigma)
        lengths.append(waiting.length)
    assert bool((torch.stack(lengths[1:-4]) > 1.01 * shortest).any())
    torch.testing.assert_close(torch.stack(lengths[-4:]), shortest.expand(4, 2))


def test_each_image_stops_by_itself():
    D = network()
    easy, hard = torch.full((1, 1, 12, 10), 0.5, dtype=torch.float64), images(2, size=(12, 10))
    y, sigma = torch.cat([easy, hard]), level(0.1)
    together, steps = D.minimize(y, sigma, D.tolerance)
    assert int(steps[0]) < int(steps[1:].min())
    for i in range(3):
        alone, count = D.minimize(y[i : i + 1], sigma, D.tolerance)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)
        assert int(count) == int(steps[i])
    levels = level(0.02, 0.1, 0.2)
    torch.testing.assert_close(D(y, levels)[1:2], D(y[1:2], levels[1:2]), rtol=0, atol=1e-12)


def test_tiles_and_borders_are_exact(monkeypatch):
    D, sigma = network(), level(0.1)
    y = images(1, size=(37, 29))
    whole = D.envelope_and_gradient(y, sigma)
    monkeypatch.setattr(identity_path, "CPU_TILES", (16, 16))
    tiled = D.envelope_and_gradient(y, sigma)
    torch.testing.assert_close(tiled[0], whole[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(tiled[1], whole[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(D(y.flip(-1), sigma), whole[1].flip(-1), rtol=0, atol=1e-12)


def test_weights_learn_through_the_minimizer():
    D, y, sigma = network(), images(2, size=(8, 8)), level(0.05, 0.15)
    D.requires_grad_(True)
    target = images(2, size=(8, 8))
    loss = (D(y, sigma) - target).square().sum()
    loss.backward()
    for name, parameter in D.named_parameters():
        assert parameter.grad is not None, name
        direction = torch.randn_like(parameter)
        step = 1e-6
        with torch.no_grad():
            parameter += step * direction
            ahead = (D(y, sigma) - target).square().sum()
            parameter -= 2 * step * direction
            behind = (D(y, sigma) - target).square().sum()
            parameter += step * direction
        expected = float(ahead - behind) / (2 * step)
        assert float((parameter.grad * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-7), name


def test_many_derivatives_of_a_small_image_are_those_of_one_by_one(monkeypatch):
    D, y, sigma = network(), images(2, size=(3, 4)).requires_grad_(), level(0.1)
    directions = torch.randn(30, *y.shape, dtype=torch.float64)

    def products():
        x = D(y, sigma)
        return [torch.autograd.grad(x, y, v, retain_graph=True)[0] for v in directions]

    factored = products()
    monkeypatch.setattr(implicit, "DENSE_LIMIT", 0)
    torch.testing.assert_close(torch.stack(factored), torch.stack(products()), rtol=0, atol=1e-11)


def test_slow_images_are_reported_and_nan_ends(monkeypatch):
    D, y, sigma = network(), images(2), level(0.1)
    y[0] = torch.nan
    x = D(y.requires_grad_(), sigma)
    assert x[0].isnan().all()
    assert x[1].isfinite().all()
    for _ in range(3):  # by conjugate gradients and by a factor
        (gradient,) = torch.autograd.grad(x[1].sum(), y, retain_graph=True)
        assert gradient[1].isfinite().all()
    y = images(2)
    monkeypatch.setattr(equilibrium, "MAX_ITER", 2)
    with pytest.warns(RuntimeWarning, match="2 of 2 images are short of the tolerance"):
        D(y, sigma)


@pytest.mark.parametrize("level_of", [-120.0, -20.0, 100.0, 800.0])
@pytest.mark.parametrize("name", ["log_excess", "share_logits"])
def test_extreme_weights_keep_the_bounds(name, level_of):
    D, y, sigma = network(), images(size=(3, 4)), level(1 / 255)
    with torch.no_grad():
        getattr(D.regularizer.shrinkage.gates, name)[..., :1] = level_of
    J = dense_jacobian(lambda v: D(v, sigma), y)
    smallest, largest = eigenvalue_range(J)
    assert (
        1 / (1 + float(D.regularizer_weight(sigma))) - 1e-9
        <= smallest
        <= largest
        <= D.lipschitz_bound() + 1e-9
    )
    assert symmetry_defect(J) <= 1e-10


def test_noise_levels_have_derivatives():
    D, y = network(), images()
    sigma = level(0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(D(y, sigma).square().sum(), sigma)
    ahead, behind = (float(D(y, level(0.1 + h)).square().sum()) for h in (1e-6, -1e-6))
    assert float(gradient) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)


def test_files_say_what_the_network_is(tmp_path):
    D, y, sigma = network(start=True).float(), images().float(), torch.tensor([0.1])
    save_network(D, tmp_path / "model.safetensors")
    again = load_network(tmp_path / "model.safetensors")
    assert isinstance(again, Equilibrium)
    assert again.config == D.config
    assert torch.equal(again(y, sigma), D(y, sigma))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weak_convexity": 1.0},
        {"regularizer": {"shrinkage": {"kind": "ridge", "gate_kind": "ramp"}}},
        {"regularizer": {"shrinkage": {"kind": "mixture"}}},
        {"start": {"channels": 3}},
        {"start": {"kernel_size": 4, "pairs": 9}},
    ],
    ids=str,
)
def test_impossible_architectures_are_refused(wrong):
    with pytest.raises(
        (ValidationError, ValueError), match=r"less than 1|with gate_kind firm|same channels|pairs"
    ):
        Equilibrium(EquilibriumConfig.model_validate({"kind": "equilibrium", **wrong}))
