"""Certificates: sound operators pass, planted faults do not, and each fault fails the check made for it."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradprox.certificates import Certificate, certify
from gradprox.certificates.products import JacobianProducts, lanczos_range
from gradprox.networks import (
    Conv2d,
    GradNetM,
    IdentityPath,
    IdentityPathConfig,
    MGradNetC,
    MGradNetM,
    ModuleStack,
    TanhSum,
)
from gradprox.priors import LearnedProx


def points(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def failed(certificate):
    return {check.name for check in certificate.checks if not check.passed}


def convolutional(seed=0):
    torch.manual_seed(seed)
    return MGradNetM.conv(1, 6, 3, activation=TanhSum, boundary="symmetric").double()


@pytest.mark.parametrize(
    ("operator", "shape", "sigma"),
    [
        (MGradNetC.dense(5, 8).double(), (2, 5), None),
        (GradNetM.dense(5, 8).double(), (2, 5), None),
        (MGradNetM.conv(1, 6, 3, nonexpansive=True).double(), (1, 1, 5, 4), None),
        (IdentityPath(IdentityPathConfig(kernel_size=4)).double(), (1, 1, 7, 6), 0.1),
        (LearnedProx(IdentityPath(IdentityPathConfig(kernel_size=4))).double(), (1, 3, 5, 4), 0.1),
        (LearnedProx(convolutional()).double(), (1, 2, 5, 4), 0.1),
        (LearnedProx(MGradNetM.conv(3, 6, 3)).double(), (1, 3, 5, 4), 0.1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sound_operators_pass(operator, shape, sigma):
    certificate = certify(operator, points(*shape), sigma)
    assert certificate.passed, certificate.table()
    assert certificate.method == "dense"
    assert certificate.lipschitz_measured <= certificate.lipschitz_proven
    assert certificate.weak_convexity_measured is None or (
        certificate.weak_convexity_measured <= certificate.weak_convexity_proven
    )
    assert (certificate.prox_margin is not None) == operator.monotone


def test_weak_convexity_of_a_scaling():
    # 2 x is the prox of -|x|^2/4, which is 1/2-weakly convex.
    certificate = certify(lambda x: 2 * x, points(1, 4))
    assert certificate.weak_convexity_measured == pytest.approx(0.5)


class CroppedReflection(nn.Module):
    """A convolutional network with the border rule everyone uses: pad by reflection, run, crop."""

    monotone = True

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(F.pad(x, (3, 3, 3, 3), mode="reflect"))[..., 3:-3, 3:-3]


@pytest.mark.parametrize("size", [6, 40])
def test_reflect_pad_with_crop_is_caught(size):
    certificate = certify(CroppedReflection(convolutional()), points(1, 1, size, size))
    assert certificate.method == ("dense" if size == 6 else "lanczos")
    assert "symmetry defect" in failed(certificate)


@pytest.mark.parametrize("size", [5, 40])
def test_a_negative_module_weight_is_caught(size, monkeypatch):
    network = convolutional()
    monkeypatch.setattr(ModuleStack, "weights", lambda self: torch.tensor([0.3, -1.0], dtype=torch.float64))
    certificate = certify(network, points(1, 1, size, size))
    assert "smallest eigenvalue" in failed(certificate)
    assert certificate.smallest_eigenvalue < 0
    assert "symmetry defect" not in failed(certificate)
    if size == 5:
        assert "prox margin" in failed(certificate)


class QuantisedOutput(nn.Module):
    """Computes with 8 bits: what an integer runtime returns."""

    def __init__(self, network, straight_through):
        super().__init__()
        self.network = network
        self.straight_through = straight_through

    def forward(self, x):
        y = self.network(x)
        rounded = (y * 255).round() / 255
        return y + (rounded - y).detach() if self.straight_through else rounded


@pytest.mark.parametrize("straight_through", [True, False])
def test_a_quantized_output_is_caught(straight_through):
    certificate = certify(QuantisedOutput(convolutional(), straight_through), points(2, 1, 6, 6))
    assert "derivative defect" in failed(certificate)


def test_quantized_weights_on_one_side_are_caught(monkeypatch):
    network = convolutional()
    rounded = copy.deepcopy(network.operator)
    with torch.no_grad():
        step = rounded.weight.abs().max() / 127
        rounded.weight.copy_((rounded.weight / step).round() * step)
    monkeypatch.setattr(network.operator, "analyze", rounded.analyze)
    assert "symmetry defect" in failed(certify(network, points(1, 1, 5, 5)))


def test_a_quantized_copy_with_the_original_potential_is_caught():
    network = convolutional()
    quantized = QuantisedOutput(network, straight_through=True)
    quantized.potential = network.potential
    assert "potential defect" in failed(certify(quantized, points(1, 1, 6, 6)))


def test_a_network_that_is_no_gradient_is_caught():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 5)).double()
    certificate = certify(network, points(1, 5))
    assert "symmetry defect" in failed(certificate)
    assert certificate.lipschitz_proven is None


def test_a_bound_that_is_too_small_is_caught(monkeypatch):
    network = convolutional()
    monkeypatch.setattr(network, "lipschitz_bound", lambda: 0.1)
    assert failed(certify(network, points(1, 1, 5, 5))) == {"Lipschitz constant"}


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        certify(lambda x: x * float("nan"), points(1, 3))


def test_proven_bound_is_close_for_a_convolutional_network():
    # One layer with activations in their steepest state: the proven constant is reached up to the border rule.
    torch.manual_seed(0)
    network = MGradNetC.conv(1, 8, 5, layers=1, activation=lambda width: TanhSum(width, 1)).double()
    with torch.no_grad():
        network.inner.biases.zero_()
        network.inner.layers[0].shifts.zero_()
    certificate = certify(network, 1e-3 * points(1, 1, 64, 64))
    assert certificate.method == "lanczos"
    assert certificate.lipschitz_proven / 1.05 <= certificate.lipschitz_measured


def test_lanczos_agrees_with_the_dense_spectrum():
    network, x = convolutional(), points(1, 1, 8, 8)
    products = JacobianProducts(network, x)
    smallest, largest = lanczos_range(products.symmetric, points(1, 1, 8, 8, seed=1), 64)
    certificate = certify(network, x)
    assert smallest == pytest.approx(certificate.smallest_eigenvalue, rel=1e-8)
    assert largest == pytest.approx(certificate.largest_eigenvalue, rel=1e-10)
    v = points(1, 1, 8, 8, seed=2)
    torch.testing.assert_close(products.forward(v), products.transposed(v), rtol=1e-12, atol=1e-12)


def test_json_round_trip_and_table():
    certificate = certify(MGradNetC.dense(3, 4).double(), points(1, 3), name="small")
    again = Certificate.model_validate_json(certificate.model_dump_json())
    assert again == certificate
    assert json.loads(certificate.model_dump_json())["name"] == "small"
    table = certificate.table()
    assert "symmetry defect" in table
    assert "FAILED" not in table
    broken = certify(lambda x: x.flip(-1) * torch.arange(3.0, dtype=torch.float64), points(1, 3))
    assert "FAILED: the Jacobian is not symmetric" in broken.table()


def test_single_precision_is_refused():
    with pytest.raises(ValueError, match="float64"):
        certify(MGradNetC.dense(3, 4), torch.rand(1, 3))


def test_conv_filters_are_shared_by_analysis_and_synthesis():
    assert sum(p.numel() for p in Conv2d(1, 4, 3).parameters()) == 4 * 9 + 4 + 1
