"""Identity-path networks: symmetric, monotone, bounded, with a closed-form potential, at borders too."""

from __future__ import annotations

import copy

import pytest
import torch

from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.networks import IdentityPath, MixtureLevel
from gradprox.networks.borders import extend
from gradprox.networks.denoisers import coupling, identity_path
from gradprox.priors import LearnedProx
from gradprox.zoo import load_model
from tests.conftest import identity_path_config

LEVELS = (MixtureLevel(classes=3, window=3), MixtureLevel(classes=2, window=3, spacing=2))
KINDS = [
    *({"kind": kind, "channels": channels} for kind in ("ridge", "energy-gated") for channels in (1, 3)),
    {"kind": "ridge", "gate_kind": "norm"},
    {"kind": "ridge", "gate_kind": "firm"},
    {"kind": "energy-gated", "gate_kind": "norm", "channels": 3},
    {"kind": "energy-gated", "gates": 3},
    {"kind": "energy-gated", "gates": 5, "channels": 3, "gate_kind": "norm"},
    {"kind": "mixture", "components": 3, "levels": ()},
    {"kind": "mixture", "components": 5, "levels": LEVELS},
    {"kind": "mixture", "components": 4, "levels": LEVELS, "channels": 3},
]
SIGMAS = [0.0, 1 / 255, 10 / 255, 50 / 255, 0.5]


def jacobian(network, x, sigma):
    return dense_jacobian(lambda v: network(v, torch.tensor([sigma], dtype=v.dtype)), x)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("size", [(9, 11), (1, 1), (1, 7), (4, 3)])
def test_jacobian_is_symmetric_and_positive_semidefinite(make_network, kind, sigma, size):
    network = make_network(**kind)
    J = jacobian(network, torch.rand(1, network.channels, *size, dtype=torch.float64), sigma)
    assert symmetry_defect(J) <= 1e-10
    smallest, largest = eigenvalue_range(J)
    assert smallest >= -1e-10 * largest
    assert largest <= network.lipschitz_bound() * (1 + 1e-12)


@pytest.mark.parametrize("kind", ["ridge", "energy-gated"])
@pytest.mark.parametrize("spread", [0.5, 3.0, 30.0])
def test_nonexpansive_networks_have_no_eigenvalue_above_one(make_network, kind, spread):
    network = make_network(kind, spread, gate_kind="norm")
    assert network.lipschitz_bound() == 1
    largest = [
        eigenvalue_range(jacobian(network, torch.rand(1, 1, 8, 9, dtype=torch.float64), sigma))[1]
        for sigma in SIGMAS
    ]
    assert max(largest) <= 1 + 1e-10
    assert eigenvalue_range(jacobian(make_network(kind), torch.rand(1, 1, 8, 9).double(), 0.1))[1] > 1.01


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("spread", [3.0, 30.0])
def test_certificate_survives_extreme_weights(make_network, kind, spread):
    network = make_network(**kind, spread=spread)
    J = jacobian(network, torch.rand(1, network.channels, 8, 9, dtype=torch.float64), 20 / 255)
    assert torch.isfinite(J).all()
    assert symmetry_defect(J) <= 1e-10
    smallest, largest = eigenvalue_range(J)
    assert smallest >= -1e-10 * largest


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("size", [(9, 11), (1, 6), (16, 16)])
def test_network_is_the_gradient_of_its_potential(make_network, kind, size):
    network = make_network(**kind)
    x = torch.rand(3, network.channels, *size, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([1 / 255, 8 / 255, 60 / 255], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(network.potential(x, sigma).sum(), x)
    torch.testing.assert_close(gradient, network(x, sigma), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_envelope_and_gradient_agree_with_their_parts(make_network, kind):
    network, sigma = make_network(**kind), torch.tensor([0.1], dtype=torch.float64)
    x = torch.rand(2, network.channels, 13, 10, dtype=torch.float64)
    envelope, gradient = network.envelope_and_gradient(x, sigma)
    torch.testing.assert_close(gradient, network(x, sigma))
    torch.testing.assert_close(envelope, x.square().sum((1, 2, 3)) / 2 - network.potential(x, sigma))


def test_a_reflecting_border_that_repeats_no_edge_pixel_would_break_symmetry(make_network, monkeypatch):
    # The planted fault: whole-sample reflection, the usual "reflect" padding.
    def reflect(x, margin):
        return torch.nn.functional.pad(x, (margin,) * 4, mode="reflect")

    network, x = make_network(), torch.rand(1, 1, 9, 11, dtype=torch.float64)
    monkeypatch.setattr(identity_path, "extend", reflect)
    assert symmetry_defect(jacobian(network, x, 0.1)) > 1e-3


def test_untied_mirror_filters_would_break_symmetry(make_network, monkeypatch):
    network, x = make_network(), torch.rand(1, 1, 9, 11, dtype=torch.float64)
    tied = network.bank.filters()
    untied = torch.cat([tied[: network.bank.pairs], tied[: network.bank.pairs].roll(1, dims=0)])
    monkeypatch.setattr(network.bank, "filters", lambda: untied)
    assert symmetry_defect(jacobian(network, x, 0.1)) > 1e-3


def test_coefficients_taken_for_the_wrong_mirror_images_would_break_symmetry(make_network, monkeypatch):
    # The planted fault: all stored filters first, then all mirrored ones, without regard to color planes.
    def one_after_the_other(stored, mirrored, planes, dim):
        return torch.cat([stored, mirrored], dim)

    network, x = make_network(channels=3), torch.rand(1, 3, 7, 8, dtype=torch.float64)
    monkeypatch.setattr(coupling, "with_mirrors", one_after_the_other)
    assert symmetry_defect(jacobian(network, x, 0.1)) > 1e-3


def test_colors_are_restored_together(make_network):
    network, sigma = make_network(channels=3), torch.tensor([0.1], dtype=torch.float64)
    x = torch.rand(1, 3, 12, 9, dtype=torch.float64)
    moved = x.clone()
    moved[:, 0] += 0.1 * torch.rand(12, 9, dtype=torch.float64)
    change = (network(moved, sigma) - network(x, sigma)).abs().amax(dim=(0, 2, 3))
    assert (change > 1e-3).all()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_whole_network_commutes_with_flips(make_network, kind):
    network, sigma = make_network(**kind), torch.tensor([0.1], dtype=torch.float64)
    x = torch.rand(1, network.channels, 10, 13, dtype=torch.float64)
    for dims in ((-1,), (-2,), (-1, -2)):
        torch.testing.assert_close(network(x.flip(dims), sigma), network(x, sigma).flip(dims))


@pytest.mark.parametrize("kind", [{}, KINDS[-2]], ids=str)
def test_each_image_of_a_batch_has_its_own_noise_level(make_network, kind):
    network = make_network(**kind)
    x = torch.rand(3, 1, 12, 9, dtype=torch.float64)
    sigmas = torch.tensor([0.01, 0.1, 0.3], dtype=torch.float64)
    together = network(x, sigmas)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], network(x[i : i + 1], sigmas[i : i + 1]))


@pytest.mark.parametrize("kind", [{}, KINDS[-2]], ids=str)
def test_outside_its_noise_levels_a_network_scales_with_the_noise(make_network, kind):
    network = make_network(**kind)
    x = torch.rand(1, 1, 12, 9, dtype=torch.float64)
    for sigma in (0.3, 1e-3):
        scaled = 2 * network(x / 2, torch.tensor([sigma / 2], dtype=x.dtype))
        if sigma / 2 > 50 / 255 or sigma < 1 / 255:
            torch.testing.assert_close(scaled, network(x, torch.tensor([sigma], dtype=x.dtype)))
        else:
            assert (scaled - network(x, torch.tensor([sigma], dtype=x.dtype))).abs().max() > 1e-4


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_tiles_change_nothing(make_network, kind, monkeypatch):
    network, sigma = make_network(**kind), torch.tensor([0.1], dtype=torch.float64)
    x = torch.rand(2, network.channels, 37, 53, dtype=torch.float64)
    whole = network.envelope_and_gradient(x, sigma)
    monkeypatch.setattr(identity_path, "CPU_TILES", (16, 16))
    tiled = network.envelope_and_gradient(x, sigma)
    torch.testing.assert_close(tiled[0], whole[0], rtol=1e-13, atol=0)
    torch.testing.assert_close(tiled[1], whole[1], rtol=0, atol=1e-14)
    torch.testing.assert_close(network(x, sigma), whole[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", [{}, KINDS[-2]], ids=str)
def test_inside_sees_no_further_than_the_radius(make_network, kind):
    network, sigma = make_network(**kind), torch.tensor([0.1], dtype=torch.float64)
    x = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    moved = x.clone()
    moved[..., 20, 20] += 1
    change = (network(moved, sigma) - network(x, sigma))[0, 0].abs() > 0
    reach = (change.nonzero() - 20).abs().max()
    assert int(reach) == network.radius
    inner = network.inside(extend(x, network.radius), sigma, network.bank.filters())
    torch.testing.assert_close(inner, network(x, sigma))


def test_input_is_not_changed_and_state_dict_round_trips(make_network):
    network, sigma = make_network(), torch.tensor([0.1], dtype=torch.float64)
    x = torch.rand(1, 1, 12, 9, dtype=torch.float64)
    before = x.clone()
    out = network(x, sigma)
    assert torch.equal(x, before)
    other = IdentityPath(network.config).double()
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x, sigma), out)


@pytest.mark.parametrize("kind", ["energy-gated", "mixture"])
def test_training_reaches_every_weight(kind):
    network = IdentityPath(identity_path_config(kind))
    x, sigma = torch.rand(2, 1, 20, 20), torch.tensor([3 / 255, 30 / 255])
    network(x, sigma).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("energy-gated", {"kernel_size": 7}),
        ("energy-gated", {"noise_levels": (0.2, 0.1)}),
        ("energy-gated", {"window": 4}),
        ("mixture", {"levels": ({"classes": 2, "window": 4},)}),
    ],
)
def test_impossible_architectures_are_refused(kind, wrong):
    with pytest.raises(ValueError, match=r"kernel_size|noise|window"):
        identity_path_config(kind, **wrong)


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        ("mixture", {"gates": 3}),
        ("mixture", {"gate_kind": "norm"}),
        ("ridge", {"window": 3}),
        ("ridge", {"components": 3}),
        ("energy-gated", {"levels": ()}),
    ],
)
def test_a_shrinkage_has_no_settings_of_another(kind, foreign):
    with pytest.raises(ValueError, match=f"{next(iter(foreign))}\\n.*Extra inputs"):
        identity_path_config(kind, **foreign)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ["__call__", "envelope_and_gradient", "potential"])
def test_half_precision_is_refused_with_the_reason(make_network, dtype, method):
    network, x = make_network().to(dtype), torch.rand(1, 1, 9, 8, dtype=dtype)
    with pytest.raises(ValueError, match="expected images and weights of float32 or float64"):
        getattr(network, method)(x, torch.tensor([0.1], dtype=dtype))


@pytest.mark.parametrize("name", ["gray-fast", "gray-small", "gray-nonexpansive", "color-fast"])
@pytest.mark.parametrize(
    ("sigma", "contrast"), [(1e3, 1.0), (1e4, 1.0), (10.0, 1.0), (0.1, 1e-3), (1.0, 1e-4)]
)
def test_values_of_faint_images_keep_their_digits(name, sigma, contrast):
    network, level = load_model(name).network, torch.tensor([sigma])
    y = (0.5 + contrast * (torch.rand(2, network.channels, 24, 20) - 0.5)).float()
    exact = copy.deepcopy(network).double()
    energy, x = network.envelope_and_gradient(y, level.float())
    expected, _ = exact.envelope_and_gradient(y.double(), level.double())
    torch.testing.assert_close(energy.double(), expected.double(), rtol=1e-5, atol=0)
    assert network(y, level.float()).dtype == x.dtype == torch.float32


def test_values_of_faint_images_have_derivatives(make_network):
    network, x = make_network().float().requires_grad_(True), torch.rand(1, 1, 9, 8, requires_grad=True)
    sigma = torch.tensor([50.0])
    energy = network.envelope_and_gradient(x, sigma)[0]
    energy.sum().backward()
    torch.testing.assert_close(x.grad, x.detach() - network(x, sigma).detach(), rtol=0, atol=1e-5)
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize("kind", [{}, KINDS[-2]], ids=str)
def test_networks_can_be_traced_by_torch_export(make_network, kind):
    network, x, sigma = make_network(**kind), torch.rand(2, 1, 20, 17).double(), torch.tensor([0.1]).double()
    traced = torch.export.export(network, (x, sigma)).module()
    torch.testing.assert_close(traced(x, sigma), network(x, sigma))
    prior = LearnedProx(network)
    traced = torch.export.export(prior, (x, sigma)).module()
    torch.testing.assert_close(traced(x, sigma), network(x, sigma))


@pytest.mark.parametrize("kind", [{}, KINDS[-2]], ids=str)
def test_images_and_noise_levels_may_be_mapped(make_network, kind):
    D = LearnedProx(make_network(**kind).float())
    x, sigma = torch.rand(3, 1, 9, 8), torch.tensor([0.05, 0.1, 0.2])
    mapped = torch.func.vmap(lambda image, level: D(image[None], level)[0])(x, sigma)
    torch.testing.assert_close(mapped, D(x, sigma))
    mapped = torch.func.vmap(lambda level: D.potential(x, level))(sigma)
    torch.testing.assert_close(mapped, torch.stack([D.potential(x, level) for level in sigma]))
    gradient = torch.func.vmap(torch.func.grad(lambda image: D.potential(image[None], 0.1).sum()))(x)
    torch.testing.assert_close(gradient, D(x, 0.1), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="noise levels must be finite and not negative"):
        torch.func.vmap(lambda level: D(x, level))(torch.tensor([0.1, -0.1]))
    with pytest.raises(ValueError, match="noise level 25: black is 0"):
        torch.func.vmap(lambda level: D(x, level))(torch.tensor([0.1, 25.0]))
