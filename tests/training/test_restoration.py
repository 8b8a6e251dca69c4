"""Training that restores: drawn from seeds, resumed to the same bits, and good for what solvers converge to."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from gradprox import InputError, load_model
from gradprox.physics import CircularBlur, CosineSensing
from gradprox.solvers import Task
from gradprox.training import Recipe, loop, train
from gradprox.training.patches import PatchSampler, seeded
from gradprox.training.recipe import RestorationConfig
from gradprox.training.restoration import Problem, Restorations
from gradprox.training.stored_images import read_stored
from gradprox.training.workers import Workers
from tests.training.test_training import stop_after, weights
from tests.training.tiny import RECIPE

LARGER = RECIPE.model_copy(update={"patch_size": 32})
RESTORING = LARGER.model_copy(update={"restoration": RestorationConfig(share=0.8, steps=3)})


@pytest.fixture
def patches(data):
    return PatchSampler([read_stored(path, 1) for path in sorted(data.iterdir())], LARGER)


def problems(patches, config, count):
    return [Problem.drawn(patches, config, seeded(0, step, 2)) for step in range(count)]


def test_a_stopped_training_goes_on_to_the_same_bits(data, tmp_path):
    stop_after(7, RESTORING, data, tmp_path / "cut")
    train(RESTORING, data, tmp_path / "cut", resume=True)
    train(RESTORING, data, tmp_path / "whole")
    train(LARGER, data, tmp_path / "plain")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole") != weights(tmp_path / "plain")


def test_problems_are_drawn_from_the_seed_with_the_noise_that_they_state(patches):
    config = RestorationConfig(sensing=0.5, steps=4)
    drawn, again = (problems(patches, config, 24) for _ in range(2))
    for one, other in zip(drawn, again, strict=True):
        assert torch.equal(one.y, other.y)
        assert torch.equal(one.clean, other.clean)
        noise = (one.y - one.physics.A(one.clean)).std()
        assert noise == pytest.approx(one.noise, rel=0.3)
        assert 1 <= one.steps <= 4
    kinds = {(problem.task, type(problem.physics)) for problem in drawn}
    assert kinds == {(Task.DEBLUR, CircularBlur), (Task.COMPRESSED_SENSING, CosineSensing)}
    assert len({problem.noise for problem in drawn}) == 24


def test_restorations_are_continued_and_replaced_when_they_are_complete(patches):
    prior = load_model("gray-small")
    restorations = Restorations(patches, RestorationConfig(steps=3), seed=0)
    _, first = restorations.continued(4, 0, prior)
    x = first.started(prior)
    for step in range(first.steps):
        # Restoration 4 had its first step above.
        x = first.continued(prior, x).detach()
        if step + 1 < first.steps:
            restorations.continued(4, step + 1, prior)
    torch.testing.assert_close(restorations.images[4], x)
    _, second = restorations.continued(4, 9, prior)
    assert second is not first
    assert int(restorations.started[4]) == 9
    assert int(restorations.done[4]) == 1


def test_the_share_of_steps_that_restore(patches):
    restorations = Restorations(patches, RestorationConfig(share=0.3), seed=0)
    places = [restorations.chosen(step) for step in range(600)]
    assert places == [restorations.chosen(step) for step in range(600)]
    chosen = [place for place in places if place is not None]
    assert 0.24 < len(chosen) / 600 < 0.36
    assert len(set(chosen)) > 20


def test_training_improves_what_half_quadratic_splitting_converges_to(data, patches, tmp_path):
    config = RestorationConfig(share=1.0, sensing=0.0, steps=6, noise_range=(0.02, 0.03))
    before = load_model("gray-small")
    changes = {"restoration": config, "initial": "gray-small", "network": before.network.config}
    steps = {"steps": 40, "learning_rate": 2e-3, "warmup": 5, "checkpoint_every": 40}
    after = load_model(train(LARGER.model_copy(update=changes | steps), data, tmp_path / "run"))

    def error(prior):
        squares = []
        for problem in problems(patches, config, 6):
            result = problem.preset(prior)(problem.y, problem.physics, prior)
            squares.append((result.x - problem.clean).square().mean() / problem.noise**2)
        return float(torch.stack(squares).mean())

    assert after.monotone
    assert error(after) < 0.95 * error(before)


def test_what_cannot_be_trained_is_refused(patches):
    with pytest.raises(ValidationError, match="increasing"):
        RestorationConfig(noise_range=(0.1, 0.01))
    with pytest.raises(ValidationError, match="patch_size of 32"):
        Recipe(**RECIPE.model_dump(exclude={"restoration"}), restoration=RestorationConfig())
    with pytest.raises(InputError, match="one process"):
        loop._restorations(RESTORING, patches, Workers(count=2), "cpu")
