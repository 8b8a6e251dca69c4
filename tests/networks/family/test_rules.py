"""Illegal networks are refused when built, and the suite detects faults that are planted later."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gradprox.networks import (
    ConicSum,
    ConstantOuterDerivative,
    Conv2d,
    Dense,
    GradNetM,
    Identity,
    LinearSpline,
    MGradNetC,
    MGradNetM,
    ModuleStack,
    Softmax,
    Softplus,
    TanhOuterDerivative,
    TanhSum,
)
from gradprox.networks.family.elementwise import softplus_primitive
from tests.networks.conformance import assert_certified


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "build",
    [
        partial(MGradNetC.dense, 3, 4, activation=partial(TanhSum, monotone=False)),
        partial(MGradNetC.dense, 3, 4, activation=Softmax),
        partial(MGradNetC.dense, 3, 4, layers=0),
        partial(MGradNetM.dense, 3, 4, activation=partial(LinearSpline, monotone=False)),
        partial(MGradNetM.dense, 3, 4, outer_derivative=TanhOuterDerivative),
        partial(MGradNetM.dense, 3, 4, modules=0),
        partial(MGradNetM, Dense(3, 5), modules=2),
        lambda: ConicSum([GradNetM.dense(3, 4)]),
        lambda: ConicSum([]),
        lambda: ModuleStack([Softmax(3)], [], monotone=True),
        partial(Softmax, 4, groups=4),
        partial(Softmax, 5, groups=2),
        partial(Conv2d, 1, 3, 4),
        partial(Conv2d, 1, 3, 3, boundary="reflect"),
        partial(Dense, 0, 3),
    ],
)
def test_illegal_networks_are_refused(build):
    with pytest.raises(ValueError, match=r"."):
        build()


def test_a_negative_module_weight_is_detected(monkeypatch):
    network = MGradNetM.dense(4, 6).double()
    x = torch.randn(1, 4, dtype=torch.float64)
    assert_certified(network, x)
    monkeypatch.setattr(ModuleStack, "weights", lambda self: torch.tensor([1.0, -1.0], dtype=torch.float64))
    with pytest.raises(AssertionError):
        assert_certified(network, x)


def test_a_decreasing_activation_is_detected(monkeypatch):
    network = MGradNetC.dense(4, 6, layers=1, activation=Identity).double()
    monkeypatch.setattr(Identity, "function", lambda self, t, table: -t)
    with pytest.raises(AssertionError):
        assert_certified(network, torch.randn(1, 4, dtype=torch.float64))


def test_cropping_instead_of_folding_is_detected(monkeypatch):
    network = MGradNetM.conv(1, 4, 3, boundary="symmetric").double()
    x = torch.randn(1, 1, 4, 5, dtype=torch.float64)
    assert_certified(network, x)

    def cropped(self, z, x):
        image = torch.nn.functional.conv_transpose2d(z, self.weight)
        return image[..., self.margin : -self.margin, self.margin : -self.margin]

    monkeypatch.setattr(Conv2d, "synthesize", cropped)
    with pytest.raises(AssertionError):
        assert_certified(network, x)


def test_a_group_inside_a_cascade_would_not_be_symmetric():
    # The reason why cascades need elementwise activations: W^T softmax(beta Wx + softmax(Wx)) is not a gradient.
    torch.manual_seed(0)
    W = torch.randn(5, 4, dtype=torch.float64)
    with pytest.raises(AssertionError):
        assert_certified_map(lambda x: ((x @ W.T).softmax(-1) + x @ W.T).softmax(-1) @ W)


def assert_certified_map(forward):
    network = MGradNetM.dense(4, 6).double()
    network.gradient_at = forward
    assert_certified(network, torch.randn(1, 4, dtype=torch.float64))


def test_saturated_softmax_keeps_its_digits():
    # torch.softmax fails here: its backward pass loses a Jacobian of size exp(-300) to rounding.
    torch.manual_seed(0)
    z = torch.zeros(1, 5, dtype=torch.float64)
    z[0, 2] = 300.0
    jacobian = torch.autograd.functional.jacobian(Softmax(5), z)[0, :, 0]
    p = z[0].softmax(0)
    exact = -p[:, None] * p
    for i in range(5):
        exact[i, i] = p[i] * sum(p[j] for j in range(5) if j != i)
    torch.testing.assert_close(jacobian, exact, rtol=1e-12, atol=0)


def test_dilogarithm():
    from scipy.special import spence

    t = torch.linspace(-30, 30, 601, dtype=torch.float64, requires_grad=True)
    value = softplus_primitive(t)
    reference = torch.from_numpy(-spence(1 + t.detach().exp().numpy()))
    torch.testing.assert_close(value, reference, rtol=1e-13, atol=1e-13)
    (slope,) = torch.autograd.grad(value.sum(), t)
    torch.testing.assert_close(slope, Softplus(1)(t.detach()[:, None])[:, 0], rtol=1e-12, atol=1e-14)


def test_one_module_is_the_plain_ridge_form():
    torch.manual_seed(0)
    network = MGradNetM.dense(
        4, 6, modules=1, activation=Softplus, outer_derivative=ConstantOuterDerivative
    ).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    W, b = network.operator.weight, network.operator.bias
    plain = network.inner.weights()[0] * torch.nn.functional.softplus(x @ W.T + b, threshold=100) @ W
    torch.testing.assert_close(network(x), plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("boundary", ["circular", "symmetric"])
@pytest.mark.parametrize("nonexpansive", [False, True])
def test_a_centered_network_gives_its_output_bias_at_zero_and_differs_by_a_constant(boundary, nonexpansive):
    options = {"activation": Softplus, "boundary": boundary, "nonexpansive": nonexpansive}
    plain = MGradNetM.conv(2, 4, 3, **options).double()
    centered = MGradNetM.conv(2, 4, 3, **options, centered=True).double()
    centered.load_state_dict(plain.state_dict())
    with torch.no_grad():
        centered.operator.output_bias.copy_(torch.tensor([0.3, -0.2]))
    zero = torch.zeros(1, 2, 5, 6, dtype=torch.float64)
    assert float(plain(zero).detach().abs().max()) > 1e-3
    torch.testing.assert_close(
        centered(zero), centered.operator.offset(zero).expand_as(zero), rtol=0, atol=1e-15
    )
    x = torch.randn(3, 2, 5, 6, dtype=torch.float64)
    constant = centered(zero) - plain(zero)
    torch.testing.assert_close(centered(x) - plain(x), constant.expand_as(x), rtol=1e-10, atol=1e-12)
