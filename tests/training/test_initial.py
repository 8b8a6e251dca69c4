"""A training starts from the weights of another model, as far as they fit."""

from __future__ import annotations

import pytest
import torch

from gradprox import InputError, load_model
from gradprox.networks import IdentityPath, RidgeConfig
from gradprox.networks.denoisers import energy_gate
from gradprox.priors import LearnedProx, save_network
from gradprox.training import initial, train
from tests.training.tiny import NETWORK, RECIPE


def with_shrinkage(**settings):
    """Return the tiny network with other settings of its shrinkage."""
    return NETWORK.model_copy(update={"shrinkage": NETWORK.shrinkage.model_copy(update=settings)})


def test_a_color_training_starts_from_a_gray_model(data, tmp_path, monkeypatch):
    gray = train(RECIPE, data, tmp_path / "gray")
    color = NETWORK.model_copy(update={"channels": 3})
    recipe = RECIPE.model_copy(update={"network": color, "initial": str(gray)})
    # If gates ignore other planes, every plane is shrunk as by the gray network. The intensity plane
    # of a gray image is the image times sqrt(3).
    image, scale = torch.rand(1, 1, 24, 24), 3**0.5
    expected = load_model(gray)(scale * image, 0.1) / scale
    with monkeypatch.context() as patch:
        patch.setattr(energy_gate, "OTHER_PLANES", 1e-9)
        start = LearnedProx(initial.initial_network(recipe))(image.expand(-1, 3, -1, -1), 0.1)
    torch.testing.assert_close(start, expected.expand(-1, 3, -1, -1), rtol=0, atol=1e-5)
    model = load_model(train(recipe, data, tmp_path / "color"))
    assert model.network.config == color
    assert model(torch.rand(1, 3, 9, 9), 0.1).shape == (1, 3, 9, 9)
    with pytest.raises(InputError, match="another architecture"):
        initial.initial_network(recipe.model_copy(update={"initial": "gray-small"}))


def test_a_training_keeps_the_gates_that_are_used_most(data, tmp_path):
    gray = train(RECIPE, data, tmp_path / "gray")
    full = load_model(gray).network
    unused = 3
    with torch.no_grad():
        full.shrinkage.mixing_logits[:, :, unused] = -30
    save_network(full, gray)
    fewer = with_shrinkage(gates=7)
    recipe = RECIPE.model_copy(update={"network": fewer, "initial": str(gray)})
    # Removing a gate that no channel uses changes nothing.
    x, sigma = torch.rand(1, 1, 24, 24), torch.tensor([0.1])
    torch.testing.assert_close(initial.initial_network(recipe)(x, sigma), full(x, sigma))
    with pytest.raises(InputError, match="another architecture"):
        initial.initial_network(recipe.model_copy(update={"network": with_shrinkage(gates=99)}))


def test_a_nonexpansive_training_takes_filters_and_coupling_but_not_the_gates(data, tmp_path):
    gray = train(RECIPE, data, tmp_path / "gray")
    convex = with_shrinkage(gate_kind="norm")
    start = initial.initial_network(RECIPE.model_copy(update={"network": convex, "initial": str(gray)}))
    fresh, trained = IdentityPath(convex).state_dict(), load_model(gray).network.state_dict()
    for name, table in start.state_dict().items():
        torch.testing.assert_close(table, (fresh if ".gates." in name else trained)[name], msg=name)
    assert start.lipschitz_bound() == 1


def test_shared_gates_are_not_spread_over_colors(tmp_path):
    save_network(IdentityPath(with_shrinkage(gates=5)), tmp_path / "gray.safetensors")
    color = with_shrinkage(gates=5).model_copy(update={"channels": 3})
    recipe = RECIPE.model_copy(update={"network": color, "initial": str(tmp_path / "gray.safetensors")})
    with pytest.raises(InputError, match="gates that filters share cannot be spread"):
        initial.initial_network(recipe)


@pytest.mark.parametrize("wrong", [{"noise_levels": (0.01, 0.1)}, {"shrinkage": RidgeConfig()}, {"pairs": 5}])
def test_misfits_are_explained(tmp_path, wrong):
    save_network(IdentityPath(NETWORK.model_copy(update=wrong)), tmp_path / "other.safetensors")
    recipe = RECIPE.model_copy(update={"initial": str(tmp_path / "other.safetensors")})
    with pytest.raises(InputError, match=r"another architecture.*: .*(noise levels|energy-gated|5 pairs)"):
        initial.initial_network(recipe)


def test_a_ridge_network_is_spread_over_colors():
    config = NETWORK.model_copy(update={"shrinkage": RidgeConfig()})
    gray, color = IdentityPath(config), IdentityPath(config.model_copy(update={"channels": 3}))
    with torch.no_grad():
        gray.shrinkage.gates.log_centers += torch.rand_like(gray.shrinkage.gates.log_centers)
    color.take_over(gray)
    x, sigma = torch.rand(1, 1, 12, 12), torch.tensor([0.1])
    torch.testing.assert_close(color(x.expand(-1, 3, -1, -1), sigma)[:, :1], gray(3**0.5 * x, sigma) / 3**0.5)
