"""The mixture shrinkage: its posterior, its bound, known exact cases, and planted faults that break the proof."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.networks.denoisers import mixture, mixture_levels
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.mixture import MixtureConfig
from gradprox.networks.denoisers.mixture_levels import (
    ClassLevel,
    MixtureLevel,
    log_marginal,
    pass_down,
    pass_up,
)
from gradprox.zoo import load_model

KNOTS = NoiseKnots((1 / 255, 10 / 255, 50 / 255))
LEVELS = (MixtureLevel(classes=3, window=3), MixtureLevel(classes=2, window=3, spacing=2))
SIGMA = torch.tensor([0.1], dtype=torch.float64)


def shrinkage(levels=LEVELS, spread=1.0, pairs=4, components=5):
    config = MixtureConfig(components=components, levels=levels)
    made = config.build(pairs, 1 / math.sqrt(2 * pairs), KNOTS).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += spread * torch.randn_like(parameter)
    return made.requires_grad_(False)


def coefficients(made, size=1):
    return 0.3 * torch.rand(()) * torch.randn(1, 8, size, size, dtype=torch.float64)


def hessian(made, z):
    """Return the Hessian of ``G`` on the torus; with windows of 1x1, one position is enough."""
    return dense_jacobian(lambda v: made.gradient(v, SIGMA), z)


@pytest.mark.parametrize("spread", [0.5, 2.0, 10.0])
def test_hessian_is_positive_and_below_its_bound_for_all_weights(spread):
    reached = 0.0
    for seed in range(40):
        torch.manual_seed(seed)
        made = shrinkage((MixtureLevel(classes=3, window=1), MixtureLevel(classes=2, window=1)), spread)
        J = hessian(made, coefficients(made))
        smallest, largest = eigenvalue_range(J)
        assert symmetry_defect(J) <= 1e-10
        assert smallest >= -1e-10 * largest
        assert largest <= made.slope_bound()
        reached = max(reached, largest)
    assert reached > 1.1


def largest_slope_at_a_tie(made):
    """Return the largest slope of two opposite components that are equally likely at a third of the tail's energy."""
    made.log_variances[:, 0], made.log_variances[:, 1] = -30.0, 30.0
    coordinates = KNOTS.coordinates(SIGMA)
    _, bias = made.shares(coordinates)
    tail = made.log_tails.exp()[0, 0]
    weight = made.knots.interpolate(made.log_weights, coordinates).exp()[0, 0]
    made.offsets[:, 0] += (weight * 2 * tail + bias[0, 1] - bias[0, 0]).item()
    z = (2 * tail / 3).sqrt() * made.noise_gain * SIGMA * torch.ones(1, 8, 1, 1, dtype=torch.float64)
    return eigenvalue_range(hessian(made, z))[1]


def test_bound_is_nearly_reached_where_two_components_tie():
    made = shrinkage((), 0.0, components=2)
    assert made.slope_bound() - 1 < largest_slope_at_a_tie(made) <= made.slope_bound()


def test_bound_fails_if_log_likelihoods_weigh_more_than_allowed(monkeypatch):
    made = shrinkage((), 0.0, components=2)
    largest_slope_at_a_tie(made)
    told = made.slope_bound()
    monkeypatch.setattr(mixture, "LOG_WEIGHT_RANGE", (-5.0, 2.0))
    made.log_weights.fill_(2.0)
    assert largest_slope_at_a_tie(made) > 2 * told


def test_gains_are_between_zero_and_one_and_large_coefficients_pass():
    for seed in range(20):
        torch.manual_seed(seed)
        made = shrinkage()
        z = coefficients(made, 15)
        gains = made.gradient(z, SIGMA) / mixture.crop(z, made.radius)
        assert gains.min() >= 0
        assert gains.max() <= 1 + 1e-12
        torch.testing.assert_close(
            made.gradient(1e6 * z, SIGMA) / mixture.crop(1e6 * z, made.radius), gains.new_ones(1, 8, 3, 3)
        )


def test_posterior_mean_of_a_mixture_of_gaussians(monkeypatch):
    # Without tails and at one position, the posterior mean is known in closed form.
    monkeypatch.setattr(mixture, "LOG_TAIL_RANGE", (-5.0, 60.0))
    made = shrinkage((), 0.0)
    made.log_tails.fill_(60.0)
    z, u = 0.05 * torch.randn(8, dtype=torch.float64), 0.1 / math.sqrt(8)
    stored = made.log_variances.exp() / 8
    variances = torch.cat([torch.cat([stored[0], stored[1]], 1), torch.cat([stored[1], stored[0]], 1)])
    each = [
        torch.distributions.Normal(torch.zeros_like(v), (v + u**2).sqrt()).log_prob(z).sum()
        for v in variances
    ]
    posterior = torch.stack(each).softmax(0)
    mean = (posterior[:, None] * variances / (variances + u**2)).sum(0) * z
    # Equality is exact between knots too, because the logarithm of the noise is interpolated.
    torch.testing.assert_close(made.gradient(z[None, :, None, None], SIGMA)[0, :, 0, 0], mean)


def test_posterior_of_two_levels_is_that_of_all_combinations():
    # At one position, the probabilities can be computed by enumerating components and classes.
    made = shrinkage((MixtureLevel(classes=3, window=1), MixtureLevel(classes=2, window=1)), 0.7)
    made.log_weights.zero_()
    coordinates = KNOTS.coordinates(SIGMA)
    scores = torch.randn(1, 10, 1, 1, dtype=torch.float64)
    weights = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    levels = made.tables(coordinates, weights)
    likelihoods, last = pass_up(scores, levels)
    top = made.knots.interpolate(made.top_offsets, coordinates).repeat(1, 2)[0]
    last = last + top[None, :, None, None]
    (found,) = pass_down(last.softmax(1), likelihoods, levels)
    value = log_marginal(likelihoods, last, levels, weights[:, :1])
    low, high = (level.probabilities[0] for level in levels)
    top = top.exp()
    joint = top[:, None, None] * high[:, :, None] * low[None] * scores[0, :, 0, 0].exp()
    torch.testing.assert_close(value.squeeze(), joint.sum().log())
    torch.testing.assert_close(found[0, :, 0, 0], joint.sum((0, 1)) / joint.sum())


def test_probabilities_and_windows_sum_to_one_and_mirror_each_other():
    made = shrinkage(spread=5.0)
    coordinates = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    for level in made.tables(coordinates, made.weights(coordinates)):
        probabilities, windows = level.probabilities, level.windows
        torch.testing.assert_close(probabilities.sum(2), torch.ones_like(probabilities[..., 0]))
        torch.testing.assert_close(windows.sum((-1, -2)), torch.ones_like(windows[..., 0, 0]))
        assert min(probabilities.min(), windows.min()) > 0
        assert torch.equal(windows, windows.flip(-1))
        assert torch.equal(windows, windows.flip(-2))
        rows, columns = (torch.arange(n).roll(n // 2) for n in probabilities.shape[1:])
        torch.testing.assert_close(probabilities[:, rows][:, :, columns], probabilities)


def test_uneven_windows_would_break_symmetry(make_network, monkeypatch):
    network, x = tied_up(make_network), torch.rand(1, 1, 8, 9, dtype=torch.float64)
    even = ClassLevel._windows
    uneven = torch.linspace(0.2, 1.8, 9, dtype=torch.float64).view(3, 3)
    assert symmetry_defect(dense_jacobian(lambda v: network(v, SIGMA), x)) < 1e-12
    monkeypatch.setattr(ClassLevel, "_windows", lambda *args: even(*args) * uneven)
    assert symmetry_defect(dense_jacobian(lambda v: network(v, SIGMA), x)) > 1e-6


def posterior(made, scores, weights):
    levels = made.tables(KNOTS.coordinates(SIGMA), weights)
    found, top = pass_up(scores, levels)
    (probabilities,) = pass_down(top.softmax(1), found, levels)
    return probabilities


def test_posteriors_sum_to_one_as_windows_do(monkeypatch):
    # The proof of convexity needs this, because it moves the energies to the bottom level.
    made, even = shrinkage(spread=3.0), ClassLevel._windows
    scores = torch.randn(1, 10, 15, 15, dtype=torch.float64)
    weights = torch.full((1, 3, 1, 1), 2.0, dtype=torch.float64)
    total = posterior(made, scores, weights).sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))
    monkeypatch.setattr(ClassLevel, "_windows", lambda *args: 1.5 * even(*args))
    total = posterior(made, scores, weights).sum(1)
    torch.testing.assert_close(total, torch.full_like(total, 1.5**2))


def tied_up(make_network):
    network = make_network("mixture", components=5, levels=LEVELS)
    network.shrinkage.log_weights.fill_(1.0)
    return network


def test_negligible_likelihoods_change_nothing_in_double_precision(monkeypatch):
    torch.manual_seed(0)
    made = shrinkage()
    made.log_variances.mul_(3)
    z = 30 * coefficients(made, 15)
    found = made.gradient_and_density(z, SIGMA)
    monkeypatch.setattr(mixture_levels, "LOG_NEGLIGIBLE", -math.inf)
    for kept, whole in zip(found, made.gradient_and_density(z, SIGMA), strict=True):
        torch.testing.assert_close(kept, whole, rtol=1e-14, atol=1e-14)
    monkeypatch.setattr(mixture_levels, "LOG_NEGLIGIBLE", -4.0)
    assert not torch.allclose(made.gradient(z, SIGMA), found[0], rtol=1e-6)


def test_scores_keep_the_digits_of_the_components_that_compete():
    # Far above the noise, scores reach thousands. Without the baseline, errors are twice this limit.
    network = load_model("color").network
    x, sigma = torch.rand(1, 3, 33, 45, generator=torch.Generator().manual_seed(0)), torch.tensor([0.04])
    with torch.no_grad():
        single = network(x, sigma)
        double = copy.deepcopy(network).double()(x.double(), sigma.double())
    assert (single - double).square().mean().sqrt() <= 8e-8


def test_derivatives_stay_finite_where_a_component_removes_nothing():
    torch.manual_seed(0)
    made = shrinkage()
    # In single precision the reciprocal of such a share is finite, but its derivative is not.
    made.log_variances[0, 0] = 45.0
    z = coefficients(made, 15)
    found = {}
    for dtype in (torch.float32, torch.float64):
        network = copy.deepcopy(made).to(dtype).requires_grad_()
        network.gradient(z.to(dtype), SIGMA.to(dtype)).square().sum().backward()
        found[dtype] = network.log_variances.grad.double()
    assert (found[torch.float32] - found[torch.float64]).abs().max() <= 1e-4 * found[
        torch.float64
    ].abs().max()
