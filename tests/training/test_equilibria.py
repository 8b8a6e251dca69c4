"""Training of equilibria: to the tolerances of the recipe, with repeated batches starting from their last solution."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from gradprox import InputError, load_model
from gradprox.networks import EnergyGatedConfig, Equilibrium, EquilibriumConfig
from gradprox.priors import LearnedProx
from gradprox.training import Recipe, initial, train
from gradprox.training.patches import PatchSampler
from gradprox.training.stored_images import read_stored
from tests.training.tiny import NETWORK, RECIPE

REGULARIZER = NETWORK.model_copy(update={"shrinkage": EnergyGatedConfig(window=3, terms=1, gate_kind="firm")})


def test_an_equilibrium_is_solved_to_the_tolerances_of_the_recipe(data, tmp_path, monkeypatch):
    seen, solve = [], Equilibrium.solve

    def spy(self, x, sigma, *tolerances):
        seen.append(tolerances)
        return solve(self, x, sigma, *tolerances)

    monkeypatch.setattr(Equilibrium, "solve", spy)
    network = EquilibriumConfig(kind="equilibrium", regularizer=REGULARIZER)
    short = RECIPE.model_copy(update={"network": network, "steps": 1, "patch_size": 12})
    train(short, data, tmp_path / "default")
    train(short.model_copy(update={"tolerance": 0.1, "derivative_tolerance": 0.2}), data, tmp_path / "told")
    assert seen == [(0.01, 0.01), (0.1, 0.2)]


def test_repeated_batches_start_from_their_last_solution(data, tmp_path, monkeypatch):
    starts, minimize, solve = [], Equilibrium.minimize, Equilibrium.solve
    recipe = RECIPE.model_copy(
        update={
            "network": EquilibriumConfig(kind="equilibrium", regularizer=REGULARIZER),
            "steps": 6,
            "patch_size": 12,
            "tolerance": 0.0,
            "derivative_tolerance": 0.0,
            "repeated_batches": 2,
        }
    )

    def spy(self, y, sigma, tolerance, start=None):
        solution, steps = minimize(self, y, sigma, tolerance, start)
        starts.append((None if start is None else start.clone(), solution))
        return solution, steps

    monkeypatch.setattr(Equilibrium, "minimize", spy)
    warm = load_model(train(recipe, data, tmp_path / "warm")).network.state_dict()
    assert [start is None for start, _ in starts] == 2 * [True] + 4 * [False]
    for start, _ in starts[2:]:
        assert any(torch.equal(start, solution) for _, solution in starts)
    # The same training, with every batch solved anew.
    monkeypatch.setattr(Equilibrium, "solve", lambda *given: solve(*given[:-1]))
    cold = load_model(train(recipe, data, tmp_path / "cold")).network.state_dict()
    assert all(start is None for start, _ in starts[6:])
    for name, value in cold.items():
        torch.testing.assert_close(warm[name], value, rtol=0, atol=2e-4, msg=name)


def test_an_equilibrium_is_trained_from_a_one_pass_model(data, tmp_path):
    gray = train(RECIPE, data, tmp_path / "gray")
    inner = NETWORK.model_copy(
        update={
            "kernel_size": 6,
            "pairs": 8,
            "shrinkage": EnergyGatedConfig(window=1, terms=2, gate_kind="firm"),
        }
    )
    network = EquilibriumConfig(kind="equilibrium", regularizer=inner, start=NETWORK)
    changes = {
        "network": network,
        "initial": str(gray),
        "steps": 40,
        "patch_size": 16,
        "learning_rate": 0.005,
    }
    recipe = RECIPE.model_copy(update=changes)
    start, trained = initial.initial_network(recipe), load_model(gray).network
    # The filters are the same with a border of zeros, and so is the start.
    x, sigma = torch.rand(1, 1, 24, 24), torch.tensor([0.1])
    torch.testing.assert_close(
        start.regularizer.bank.filters()[..., 1:-1, 1:-1], trained.bank.filters(), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(start.start(x, sigma), trained(x, sigma))
    model = load_model(train(recipe, data, tmp_path / "run"))
    assert model.network.config == network
    images = [read_stored(path, channels=1) for path in sorted(data.iterdir())]
    batch = PatchSampler(images, recipe.model_copy(update={"batch_size": 16})).batch(1000)
    errors = [
        (prox(batch.noisy, batch.sigma) - batch.clean).square().mean() for prox in (model, LearnedProx(start))
    ]
    assert errors[0] < errors[1]
    again = train(recipe, data, tmp_path / "run", resume=True)
    torch.testing.assert_close(load_model(again)(x, 0.1), model(x, 0.1), rtol=0, atol=0)
    further = initial.initial_network(recipe.model_copy(update={"initial": str(again)}))
    assert torch.equal(further(x, sigma), model(x, 0.1))
    with pytest.raises(ValidationError, match="bfloat16"):
        Recipe.model_validate(recipe.model_dump() | {"precision": "bfloat16"})
    for setting in ("tolerance", "repeated_batches"):
        with pytest.raises(ValidationError, match="only an equilibrium has"):
            Recipe.model_validate(RECIPE.model_dump() | {setting: 0.1 if setting == "tolerance" else 3})
    narrow = inner.model_copy(update={"kernel_size": 2, "pairs": None})
    for wrong in (
        {"network": network.model_copy(update={"regularizer": narrow})},
        {"network": network.model_copy(update={"start": inner})},
    ):
        with pytest.raises(InputError, match="another architecture"):
            initial.initial_network(recipe.model_copy(update=wrong))
    with pytest.raises(InputError, match="cannot be compiled"):
        train(recipe, data, tmp_path / "compiled", compiled=True)
