"""``gradprox train``: its recipes without a file, and what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from gradprox.solvers import mixed_precision
from gradprox.training import fine_tuning, read_recipe, without_clean_images
from gradprox.zoo import recipe_path

TINY = (
    'name = "tiny"\nsteps = 4\nbatch_size = 1\npatch_size = 16\nvalidate_every = 2\n'
    "[network]\nkernel_size = 4\n[network.shrinkage]\nkind = 'energy-gated'\nwindow = 3\nterms = 1\n"
)


@pytest.fixture
def stack(tmp_path):
    """Return a folder with a stack of two noisy pages."""
    (tmp_path / "stack").mkdir()
    pages = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((2, 80, 88))
    tifffile.imwrite(tmp_path / "stack" / "cells.tif", pages.astype(np.float32), photometric="minisblack")
    return tmp_path / "stack"


@pytest.fixture
def asked(run, monkeypatch, tmp_path):
    """Return a function that runs the command without training, and returns the recipe that it would train."""

    def asked(*options):
        recipes = []

        def train(recipe, *_, **__):
            recipes.append(recipe)
            return tmp_path / "model.safetensors"

        monkeypatch.setattr("gradprox.training.train", train)
        assert run("train", *options, "--out", tmp_path / "run")[0] == 0
        return recipes[0]

    return asked


def test_a_stack_alone_is_enough(run, stack, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    options = ("--recipe", tmp_path / "tiny.toml", "--data", stack, "--unsupervised", "--noise", "0.1")
    code, said, _ = run(
        "train", *options, "--out", tmp_path / "run", "--device", "cpu", "--json", tmp_path / "f.json"
    )
    assert code == 0
    assert "gain over gray-fast at step 4:" in said
    assert "estimated without clean images" in said
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["step"] == 4
    assert figures["gain"]["estimated"] < 0  # after four steps from nothing
    assert "It has not gained: train more steps, or keep gray-fast." in said
    assert figures["gain"].keys() == figures["validation"].keys() == {"estimated"}
    assert {path.name for path in (tmp_path / "run" / "examples").iterdir()} == {
        "cells-page-1.png",
        "cells-page-2.png",
    }


def test_no_recipe_goes_on_with_the_quick_model_of_the_images(asked, stack, tmp_path):
    quick = fine_tuning("gray-fast")
    assert asked("--data", stack, "--unsupervised") == without_clean_images(quick, "auto")
    assert asked("--data", stack) == quick
    few = asked("--data", stack, "--unsupervised", "--noise", "25/255", "--steps", "30")
    assert (few.noise, few.steps, few.initial) == (25 / 255, 30, "gray-fast")
    camera = asked(
        "--data", stack, "--unsupervised", "--noise", "gain:0.02,read:0", "--initial", "gray-small"
    )
    assert (camera.loss, camera.noise, camera.initial) == ("sure", "gain:0.02,read:0", "gray-small")
    assert asked("--data", stack, "--unsupervised", "--noise", "unknown").loss == "neighbor2neighbor"
    (tmp_path / "colors").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "colors" / "a.png")
    assert asked("--data", tmp_path / "colors", "--unsupervised").initial == "color-fast"


def test_a_recipe_trains_on_noisy_images_too(asked, stack):
    recipe = asked("--recipe", "gray-fast", "--data", stack, "--unsupervised", "--steps", "9")
    expected = read_recipe(recipe_path("gray-fast")).model_copy(update={"steps": 9})
    assert recipe == without_clean_images(expected, "auto")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--recipe", "gray-fast", "--initial", "gray"), 2, "give one of them"),
        (("--noise", "25/255"), 2, "add --unsupervised"),
        (("--unsupervised", "--noise", "much"), 1, "--noise: noise level much"),
        (("--unsupervised", "--noise", "gain:1"), 1, "gain:G,read:R"),
        (("--unsupervised", "--initial", "gray-equilibrium"), 1, "second derivatives"),
        (("--unsupervised", "--recipe", "color-deep"), 1, "leave restoration and precision out"),
        (
            ("--unsupervised", "--noise", "0.1", "--recipe", "color-deep"),
            1,
            "recipe color-deep: cannot be used",
        ),
        (("--unsupervised", "--initial", "nothing"), 1, "model nothing is unknown"),
        (("--unsupervised", "--initial", "color-fast"), 1, "start from a gray model"),
        (("--patience", "1"), 1, "give validation images"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(run, stack, tmp_path, options, code, said):
    (stack / "cells.tif").rename(stack / "a.tif")
    if "--patience" in options:
        (stack / "a.tif").unlink()
        Image.new("L", (80, 80)).save(stack / "a.png")
    found, _, message = run(
        "train", *options, "--data", stack, "--out", tmp_path / "run", "--device", "cpu", "--steps", "1"
    )
    assert found == code
    assert said in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("has_instructions", [False, True])
def test_a_slow_precision_is_warned_of(run, asked, stack, tmp_path, monkeypatch, has_instructions):
    monkeypatch.setattr(mixed_precision, "computes_in_bfloat16", lambda _: has_instructions)
    (tmp_path / "tiny.toml").write_text('precision = "bfloat16"\n' + TINY)
    options = ("--recipe", tmp_path / "tiny.toml", "--data", stack)
    asked(*options)  # which replaces the training
    _, _, said = run("train", *options, "--out", tmp_path / "run", "--device", "cpu")
    assert ("no instructions for bfloat16" in said) != has_instructions
