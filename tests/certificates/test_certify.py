"""Certificates: correct operators pass, and each planted fault fails the check made for it."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradprox.certificates import Certificate, Proven, certify
from gradprox.certificates.products import JacobianProducts, lanczos_range
from gradprox.errors import InputError
from gradprox.networks import (
    Conv2d,
    DeepPotential,
    DeepPotentialConfig,
    GradNetM,
    IdentityPath,
    IdentityPathConfig,
    MGradNetC,
    MGradNetM,
    ModuleStack,
    Softplus,
    SquareplusOuterDerivative,
    TanhSum,
)
from gradprox.priors import GradientStepDenoiser, LearnedProx


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
def test_correct_operators_pass(operator, shape, sigma):
    certificate = certify(operator, points(*shape), sigma)
    assert certificate.passed, certificate.table()
    assert certificate.method == "dense"
    assert certificate.measured.lipschitz_constant <= certificate.proven.lipschitz_constant
    assert certificate.measured.weak_convexity is None or (
        certificate.measured.weak_convexity <= certificate.proven.weak_convexity
    )
    assert (certificate.measured.prox_margin is not None) == operator.monotone


def test_weak_convexity_of_a_scaling():
    # 2 x is the prox of -|x|^2/4, which is 1/2-weakly convex.
    certificate = certify(lambda x: 2 * x, points(1, 4))
    assert certificate.measured.weak_convexity == pytest.approx(0.5)


class CroppedReflection(nn.Module):
    """A convolutional network with a common border rule: pad by reflection, run, crop."""

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
    assert certificate.measured.smallest_eigenvalue < 0
    assert "symmetry defect" not in failed(certificate)
    if size == 5:
        assert "prox margin" in failed(certificate)


class QuantisedOutput(nn.Module):
    """A network with its output rounded to 8 bits, as by an integer runtime."""

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
    assert certificate.proven.lipschitz_constant is None


def test_a_bound_that_is_too_small_is_caught(monkeypatch):
    network = convolutional()
    monkeypatch.setattr(network, "lipschitz_bound", lambda: 0.1)
    assert failed(certify(network, points(1, 1, 5, 5))) == {"Lipschitz constant"}


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        certify(lambda x: x * float("nan"), points(1, 3))


def test_proven_bound_is_close_for_a_convolutional_network():
    # One layer with activations at their steepest point: the proven constant is reached up to the border rule.
    torch.manual_seed(0)
    network = MGradNetC.conv(1, 8, 5, layers=1, activation=lambda width: TanhSum(width, 1)).double()
    with torch.no_grad():
        network.inner.biases.zero_()
        network.inner.layers[0].shifts.zero_()
    certificate = certify(network, 1e-3 * points(1, 1, 64, 64))
    assert certificate.method == "lanczos"
    assert certificate.proven.lipschitz_constant / 1.05 <= certificate.measured.lipschitz_constant


def test_lanczos_agrees_with_the_dense_spectrum():
    network, x = convolutional(), points(1, 1, 8, 8)
    products = JacobianProducts(network, x)
    smallest, largest = lanczos_range(products.symmetric, points(1, 1, 8, 8, seed=1), 64)
    certificate = certify(network, x)
    assert smallest == pytest.approx(certificate.measured.smallest_eigenvalue, rel=1e-8)
    assert largest == pytest.approx(certificate.measured.largest_eigenvalue, rel=1e-10)
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


def test_construction_proof_and_measurement_are_kept_apart():
    certificate = certify(MGradNetC.dense(3, 4, nonexpansive=True).double(), points(1, 3))
    stored = json.loads(certificate.model_dump_json())
    assert stored["by_construction"] == {"gradient": True, "monotone": True, "explicit_energy": True}
    assert stored["proven"] == {"lipschitz_constant": 1.0, "weak_convexity": 0.0}
    assert stored["measured"]["lipschitz_constant"] <= 1
    sections = certificate.table().split("\n\n")
    assert [section.split(",")[0] for section in sections[1:3]] == ["by construction", "proven"]
    assert sections[3].startswith("measured at these points")
    assert "Lipschitz constant        at most 1" in sections[2]
    assert "Lipschitz constant        at least" in sections[3]


def test_a_plain_function_has_nothing_by_construction_and_nothing_proven():
    certificate = certify(lambda x: x.tanh(), points(1, 3))
    assert certificate.passed
    assert not any(certificate.by_construction.model_dump().values())
    assert set(certificate.proven.model_dump().values()) == {None}


def test_a_network_that_need_not_be_monotone_is_measured_not_judged():
    # A deep potential network: symmetric by construction, an explicit energy, and nothing else.
    torch.manual_seed(0)
    network = DeepPotential(DeepPotentialConfig(widths=(4,), blocks=(1,))).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    certificate = certify(GradientStepDenoiser(network), points(1, 1, 6, 7), 0.1)
    assert certificate.passed, certificate.table()
    assert certificate.held_to == "gradient"
    stated = certificate.by_construction
    assert (stated.gradient, stated.monotone, stated.explicit_energy) == (True, False, True)
    assert certificate.proven == Proven(lipschitz_constant=None, weak_convexity=None)
    assert certificate.measured.smallest_eigenvalue < 0
    assert certificate.measured.weak_convexity is None
    assert certificate.measured.prox_margin is None
    assert {check.name for check in certificate.checks} == {
        "symmetry defect",
        "derivative defect",
        "potential defect",
    }
    assert "monotone, so a prox       no" in certificate.table()
    assert "eigenvalues of Hess R" in certificate.table()


def test_a_monotone_network_without_a_bound_is_at_most_1_weakly_convex():
    network = MGradNetM.dense(3, 4, activation=Softplus, outer_derivative=SquareplusOuterDerivative).double()
    assert certify(network, points(1, 3)).proven == Proven(lipschitz_constant=None, weak_convexity=1.0)


@pytest.mark.parametrize("seed", [2**64, -1, 1.5])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(InputError, match="seed: expected a whole number"):
        certify(MGradNetC.dense(3, 4).double(), points(1, 3), seed=seed)


def test_the_largest_seed_works():
    assert certify(MGradNetC.dense(3, 4).double(), points(1, 3), seed=2**64 - 1).passed


def test_single_precision_is_refused():
    with pytest.raises(ValueError, match="float64"):
        certify(MGradNetC.dense(3, 4), torch.rand(1, 3))


def test_conv_filters_are_shared_by_analysis_and_synthesis():
    assert sum(p.numel() for p in Conv2d(1, 4, 3).parameters()) == 4 * 9 + 4 + 1
