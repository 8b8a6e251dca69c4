"""The quadrature behind cascades: kinks, jumps, derivatives."""

from __future__ import annotations

import math

import pytest
import torch

from gradprox.networks import MGradNetC, TanhSum
from gradprox.networks.family.quadrature import integrate

ENDS = torch.linspace(-3, 3, 61, dtype=torch.float64)


@pytest.mark.parametrize("place", [0.3, 0.777, 1e-3, 2.999, -1e-9])
def test_kinks_and_jumps(place):
    kink = integrate(lambda t, owner: (t - place).abs(), ENDS)
    exact = (ENDS - place) * (ENDS - place).abs() / 2 + place * abs(place) / 2
    torch.testing.assert_close(kink, exact, rtol=0, atol=1e-12)
    jump = integrate(lambda t, owner: (t > place).double(), ENDS)
    exact = (ENDS - place).clamp_min(0) - max(-place, 0.0)
    torch.testing.assert_close(jump, exact, rtol=0, atol=1e-12)


def test_each_limit_has_its_own_function():
    rates = torch.linspace(0.1, 50, 61, dtype=torch.float64)
    values = integrate(lambda t, owner: (rates[owner, None] * t).cos(), ENDS)
    torch.testing.assert_close(values, (rates * ENDS).sin() / rates, rtol=0, atol=1e-12)


def test_bends_near_zero_are_resolved_for_distant_limits():
    ends = torch.tensor([10.0, 100.0, -100.0], dtype=torch.float64)
    values = integrate(lambda t, owner: torch.exp(-((t - 1) ** 2) / 0.5), ends)
    exact = math.sqrt(0.5 * math.pi) / 2 * (torch.erf((ends - 1) / 0.5**0.5) + math.erf(1 / 0.5**0.5))
    torch.testing.assert_close(values, exact, rtol=0, atol=1e-11)


def test_derivatives_of_all_orders():
    u = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    value = integrate(lambda t, owner: t.exp(), u)
    for _ in range(3):
        (value,) = torch.autograd.grad(value.sum(), u, create_graph=True)
        assert float(value.detach()) == pytest.approx(float(u.detach().exp()), rel=1e-12)


def test_derivative_in_a_parameter():
    a = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    u = torch.tensor([0.7], dtype=torch.float64)
    (slope,) = torch.autograd.grad(integrate(lambda t, owner: (a * t).exp(), u).sum(), a)
    step = 1e-6
    shifted = [integrate(lambda t, owner, b=1.3 + s: (b * t).exp(), u) for s in (step, -step)]
    assert float(slope) == pytest.approx(float((shifted[0] - shifted[1]) / (2 * step)), rel=1e-8)


def test_nan_values_end_the_refinement():
    values = integrate(lambda t, owner: t * torch.nan, ENDS)
    assert values.isnan().all()


def test_one_layer_agrees_with_its_closed_form():
    torch.manual_seed(0)
    network = MGradNetC.dense(3, 4, layers=1, activation=TanhSum).double()
    cascade = network.inner
    u = torch.randn(5, 4, dtype=torch.float64)
    alpha, beta = cascade.table()[0], cascade.table()[1]
    layer = cascade.layers[0]

    def closed(u):
        z = beta * u + cascade.biases[0]
        return (alpha / beta * layer.primitive(z, layer.table()[:, None])).sum(dim=1)

    expected = closed(u) - closed(torch.zeros_like(u))
    torch.testing.assert_close(cascade.potential(u), expected, rtol=1e-12, atol=1e-12)
