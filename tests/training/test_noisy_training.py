"""Training on noisy images alone: it denoises, resumes to the same bits, stops on request and keeps its guarantees."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file

from gradprox import InputError, load_model
from gradprox.certificates import certify
from gradprox.networks import IdentityPath
from gradprox.priors import LearnedProx
from gradprox.training import Recipe, default_initial, fine_tuning, read_recipe, train, without_clean_images
from gradprox.training.components import fit_components
from gradprox.training.loop import MODEL_FILE
from gradprox.training.stored_images import read_stored
from tests.training.test_training import stop_after, weights
from tests.training.tiny import NETWORK, RECIPE

SIGMA = 0.1
LOSSES = ["sure", "neighbor2neighbor"]


def recipe_of(loss, **change):
    return RECIPE.model_copy(update={"loss": loss, "noise": SIGMA} | change)


@pytest.fixture
def coarseness():
    return 1


@pytest.fixture
def clean(tmp_path, coarseness):
    """Return a folder of gratings, with many more pixels than the network has weights."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for number, (down, across) in enumerate([(0.21, 0.07), (0.05, 0.23), (-0.13, 0.17)]):
        periods = np.add.outer(down * np.arange(80), across * np.arange(100)) / coarseness
        pixels = 0.5 + 0.12 * np.sin(2 * np.pi * periods)
        Image.fromarray((pixels * 255).round().astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def noisy(clean, tmp_path):
    """Return a folder with one noisy version of each image."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for path in sorted(clean.iterdir()):
        pixels = np.asarray(Image.open(path)) / 255
        noise = SIGMA * generator.standard_normal(pixels.shape)
        np.save(folder / f"{path.stem}.npy", (pixels + noise).astype(np.float32))
    return folder


# Neighbors predict each other only where the image is smooth; but then the noise level need not be right.
@pytest.mark.parametrize(
    ("loss", "coarseness", "level"), [("sure", 1, SIGMA), ("neighbor2neighbor", 5, SIGMA / 4)]
)
def test_noisy_images_alone_teach_to_denoise(clean, noisy, tmp_path, loss, level):
    recipe = recipe_of(
        loss,
        noise=level,
        steps=45,
        batch_size=4,
        patch_size=32,
        validate_every=15,
        learning_rate=0.02,
        warmup=5,
    )
    trained = load_model(train(recipe, noisy, tmp_path / "run"))
    seen = torch.stack([torch.from_numpy(np.load(path))[None] for path in sorted(noisy.iterdir())])
    true = torch.stack([read_stored(path, 1) for path in sorted(clean.iterdir())]) / 255
    with torch.no_grad():
        errors = {
            name: float((prox(seen, level) - true).square().mean())
            for name, prox in (("trained", trained), ("fresh", LearnedProx(IdentityPath(NETWORK))))
        }
    assert errors["trained"] < 0.9 * errors["fresh"]
    log = json.loads((tmp_path / "run" / "run.json").read_text())
    (name,) = log["baseline"]["psnr"]
    assert log["baseline"]["model"] == "gray-fast"
    assert [entry["step"] for entry in log["history"]] == [15, 30, 45]
    assert log["history"][-1]["psnr"][name] > log["history"][0]["psnr"][name]
    if loss == "sure":
        estimated = 10 ** (-log["history"][-1]["psnr"]["estimated"] / 10)
        assert estimated == pytest.approx(errors["trained"], rel=0.3)
    points = torch.rand(1, 1, 10, 10, dtype=torch.float64)
    certificate = certify(trained.double(), points, SIGMA)
    assert certificate.passed
    assert certificate.held_to == "monotone gradient"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_on_noisy_images_goes_on_to_the_same_bits(noisy, tmp_path, loss):
    recipe = recipe_of(loss, ema=0.9)
    train(recipe, noisy, tmp_path / "whole")
    stop_after(7, recipe, noisy, tmp_path / "cut")
    train(recipe, noisy, tmp_path / "cut", resume=True)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_run_that_is_asked_to_stop_writes_everything_and_goes_on_to_the_same_bits(noisy, tmp_path):
    recipe, whole, cut = recipe_of("sure"), tmp_path / "whole", tmp_path / "cut"
    train(recipe, noisy, whole)
    steps = []
    train(recipe, noisy, cut, stop=lambda: len(steps) == 5, report=lambda p: steps.append(p.step))
    # Asked after the step and before its report.
    assert steps == [1, 2, 3, 4, 5, 6]
    assert weights(cut) == {
        name.removeprefix("weight/"): value.numpy().tobytes()
        for name, value in load_file(cut / "checkpoint.safetensors").items()
        if name.startswith("weight/")
    }
    train(recipe, noisy, cut, resume=True)
    assert weights(cut) == weights(whole)


@pytest.mark.parametrize(
    "unwanted",
    [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGINT],
    ids=["killed", "interrupted"],
)
def test_a_command_that_is_ended_goes_on_to_the_same_bits(noisy, tmp_path, unwanted):
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\nsteps = 80\nbatch_size = 2\npatch_size = 16\ncheckpoint_every = 5\nvalidate_every = 80\n'
        "[network]\nkernel_size = 4\n[network.shrinkage]\nkind = 'energy-gated'\nwindow = 3\nterms = 1\n"
    )
    cut = tmp_path / "cut"
    options = ["--data", noisy, "--unsupervised", "--noise", SIGMA, "--recipe", tmp_path / "tiny.toml"]
    given = ["train", *options, "--out", cut, "--threads", "1", "--device", "cpu"]
    command = [sys.executable, "-m", "gradprox", *map(str, given)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    checkpoint, deadline = cut / "checkpoint.safetensors", time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, unwanted)
    _, said = process.communicate()
    assert checkpoint.exists()
    if unwanted == signal.SIGINT:
        assert process.returncode == 130
        assert "run the command again with --resume" in said
        assert (cut / MODEL_FILE).exists()
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(without_clean_images(read_recipe(tmp_path / "tiny.toml"), SIGMA), noisy, tmp_path / "whole")
    finally:
        torch.set_num_threads(threads)
    assert weights(cut) == weights(tmp_path / "whole")


def test_patience_keeps_the_best_model_and_ends_the_run(clean, noisy, tmp_path, monkeypatch):
    figures = itertools.chain([30.0, 29.0, 31.0], itertools.repeat(30.0))
    monkeypatch.setattr(
        "gradprox.training.validation.NoisyValidation.psnr", lambda *_: {"estimated": next(figures)}
    )
    recipe, folder = recipe_of("sure", validate_every=1, checkpoint_every=1), tmp_path / "run"
    reported = []
    train(recipe, noisy, folder, patience=3, report=lambda p: reported.append(p.step))
    # The first figure is the baseline's. The best of the others is the second one.
    assert reported == [1, 2, 3, 4, 5]
    result = json.loads((folder / "run.json").read_text())["result"]
    assert (result["step"], result["gain"]) == (2, {"estimated": 1.0})
    stop_after(2, recipe.model_copy(update={"checkpoint_every": 2}), noisy, tmp_path / "two")
    best = load_file(tmp_path / "two" / "checkpoint.safetensors")
    for name, weight in load_file(folder / MODEL_FILE).items():
        assert torch.equal(weight, best[f"weight/{name}"])
    # A run whose patience is over takes no further step.
    train(recipe, noisy, folder, patience=3, resume=True, report=lambda p: reported.append(p.step))
    assert len(reported) == 5
    with pytest.raises(InputError, match="give validation images"):
        train(RECIPE, clean, tmp_path / "clean", patience=1)


def test_a_run_shows_its_curve_and_images_before_and_after(clean, noisy, tmp_path):
    train(recipe_of("sure", steps=2), noisy, tmp_path / "noisy-run")
    train(RECIPE.model_copy(update={"steps": 2}), clean, tmp_path / "clean-run", validation=clean)
    for folder, columns in (("noisy-run", 3), ("clean-run", 4)):
        with Image.open(tmp_path / folder / "curve.png") as chart:
            assert chart.width > 400
        examples = sorted((tmp_path / folder / "examples").iterdir())
        assert [path.name for path in examples] == ["0.png", "1.png", "2.png"]
        with Image.open(examples[0]) as row:
            assert row.size == (100 * columns + 4 * (columns - 1), 80)


def test_mixture_components_are_fitted_to_noisy_images_as_to_clean_ones(make_network):
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 200, 200, generator=generator)
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=generator)
    fitted = []
    for images, levels in (([clean], ()), ([noisy], (0.2,)), ([noisy], ())):
        network = make_network("mixture", components=1, levels=()).float()
        fit_components(network, images, 0, levels)
        fitted.append(network.shrinkage.log_variances.exp().mean())
    assert float(fitted[1]) == pytest.approx(float(fitted[0]), rel=0.1)
    assert float(fitted[2]) > 1.3 * float(fitted[0])


def test_the_recipe_of_the_common_case(clean, noisy):
    assert default_initial(noisy) == "gray-fast"
    recipe = without_clean_images(fine_tuning("gray-fast", 7), "auto")
    assert (recipe.loss, recipe.noise, recipe.steps, recipe.initial) == ("sure", "auto", 7, "gray-fast")
    assert recipe.network == load_model("gray-fast").network.config
    assert without_clean_images(recipe, None).loss == "neighbor2neighbor"
    Image.new("RGB", (40, 40)).save(clean / "0.png")
    assert default_initial(clean) == "color-fast"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "sure", "precision": "bfloat16"}, "precision"),
        ({"loss": "sure", "network": {"kind": "equilibrium"}}, "second derivatives"),
        ({"loss": "sure", "restoration": {}, "patch_size": 32}, "restoration"),
        ({"loss": "neighbor2neighbor", "patch_size": 17}, "even patch_size"),
        ({"loss": "sure", "noise": 0.0}, "above 0"),
        ({"loss": "sure", "noise": "much"}, "gain:G,read:R"),
    ],
)
def test_recipes_that_noisy_images_exclude(change, message):
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate(RECIPE.model_dump() | change)


def test_compiling_is_refused_for_second_derivatives(noisy, tmp_path):
    with pytest.raises(InputError, match="cannot be compiled"):
        train(recipe_of("sure"), noisy, tmp_path / "run", compiled=True)
