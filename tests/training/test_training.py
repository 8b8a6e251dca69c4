"""Training: seeded, resumable to the same bits, refusing what it cannot use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from gradprox import InputError, load_model
from gradprox.networks import DeepPotentialConfig, IdentityPath
from gradprox.priors import LearnedProx
from gradprox.training import initial, read_recipe, train
from gradprox.training.loop import MODEL_FILE
from gradprox.training.losses import image_loss
from gradprox.training.patches import PatchSampler
from gradprox.training.stored_images import read_stored
from gradprox.training.updates import learning_rate
from gradprox.training.validation import validate
from gradprox.training.workers import Workers
from tests.training.tiny import NETWORK, RECIPE


def weights(folder):
    """Return every weight's bits; the file's header may list its entries in any order."""
    return {name: value.numpy().tobytes() for name, value in load_file(folder / MODEL_FILE).items()}


def sampler_of(folder, recipe, **options):
    return PatchSampler([read_stored(path, 1) for path in sorted(folder.iterdir())], recipe, **options)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, tmp_path):
    train(RECIPE, data, tmp_path / "a")
    train(RECIPE, data, tmp_path / "b")
    train(RECIPE.model_copy(update={"seed": 1}), data, tmp_path / "c")
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_training_improves_denoising(data, tmp_path):
    recipe = RECIPE.model_copy(update={"steps": 60, "validate_every": 20, "learning_rate": 0.02, "warmup": 5})
    train(recipe, data, tmp_path / "run", validation=data)
    history = json.loads((tmp_path / "run" / "run.json").read_text())["history"]
    assert [entry["step"] for entry in history] == [20, 40, 60]
    assert history[-1]["psnr"]["25"] > history[0]["psnr"]["25"]
    prox = load_model(tmp_path / "run" / MODEL_FILE)
    assert prox.network.config == NETWORK


@pytest.mark.parametrize("loss", ["mse", "l1", "proximal-matching"])
def test_losses_have_the_minimizers_they_are_named_for(loss):
    # The posterior of one pixel: its mean is 1.1, its median 1, its mode 2.
    values = torch.tensor([0.0] * 30 + [1.0] * 30 + [2.0] * 40, dtype=torch.float64)
    guesses = torch.linspace(-0.5, 2.5, 301, dtype=torch.float64)
    error = (guesses[:, None] - values).reshape(-1, 1, 1, 1)
    sigma = torch.ones(len(error), dtype=torch.float64)
    risk = image_loss(loss, 1.4, 0.1)(error, sigma).view(len(guesses), -1).mean(dim=1)
    expected = {"mse": 1.1, "l1": 1.0, "proximal-matching": 2.0}[loss]
    assert abs(float(guesses[risk.argmin()]) - expected) < 0.011


@pytest.mark.parametrize("change", [{"loss": "l1"}, {"loss": "proximal-matching"}, {"precision": "bfloat16"}])
def test_other_losses_and_precisions_train_too(data, tmp_path, change):
    recipe = RECIPE.model_copy(update={"steps": 60, "learning_rate": 0.02, "warmup": 5, **change})
    model = load_model(train(recipe, data, tmp_path / "run"))
    fresh = LearnedProx(IdentityPath(NETWORK))
    batch = sampler_of(data, recipe).batch(1000)
    errors = [(prox(batch.noisy, batch.sigma) - batch.clean).square().mean() for prox in (model, fresh)]
    assert errors[0] < errors[1]
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


# torch hides this warning of its own, unless warnings are errors.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_training_gives_the_weights_of_a_plain_one(data, tmp_path, monkeypatch):
    # Traced and differentiated as for a GPU; code is not generated, for which not every machine has a compiler.
    calls = []
    genuine = torch.compile

    def compile_without_code(function):
        calls.append(function)
        return genuine(function, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", compile_without_code)
    plain, compiled = (
        load_file(train(RECIPE, data, tmp_path / name, compiled=name == "compiled"))
        for name in ("plain", "compiled")
    )
    for name, weight in plain.items():
        torch.testing.assert_close(compiled[name], weight, rtol=0, atol=1e-4)
    assert len(calls) == 1


def test_a_compiler_that_fails_is_named(data, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler\nand what led here")

    monkeypatch.setattr(torch, "compile", lambda _: broken)
    with pytest.raises(InputError, match=r"^torch\.compile failed: no compiler; train without it$"):
        train(RECIPE, data, tmp_path / "run", compiled=True)


def test_the_curve_has_every_step_once(data, tmp_path):
    train(RECIPE, data, tmp_path / "run")
    rows = (tmp_path / "run" / "curve.csv").read_text().splitlines()
    assert rows[0] == "step,learning_rate,loss"
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(1, RECIPE.steps + 1))


def test_two_processes_give_the_weights_of_one(data, tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'name = "tiny"\nsteps = 10\nbatch_size = 4\npatch_size = 16\ncheckpoint_every = 4\n'
        "[network]\nkernel_size = 4\n[network.shrinkage]\nkind = 'energy-gated'\nwindow = 3\nterms = 1\n"
    )
    options = ["--recipe", recipe, "--data", data, "--threads", "1", "--device", "cpu", "--quiet"]
    command = ["-m", "gradprox", "train", *map(str, options), "--out"]
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    subprocess.run([sys.executable, *command, str(alone)], check=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*launcher, *command, str(shared)], check=True)
    one, two = (load_file(folder / MODEL_FILE) for folder in (alone, shared))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="evenly"):
        Workers(count=3).share(4)


class InterruptionError(Exception):
    pass


def stop_after(step, recipe, data, folder):
    """Train, and stop after a step as if interrupted."""

    def stop(progress):
        if progress.step == step:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(recipe, data, folder, report=stop)


def test_an_interrupted_run_goes_on_to_the_same_bits(data, tmp_path):
    train(RECIPE, data, tmp_path / "whole")
    stop_after(7, RECIPE, data, tmp_path / "cut")
    train(RECIPE, data, tmp_path / "cut", resume=True)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    curves = [(tmp_path / name / "curve.csv").read_text() for name in ("cut", "whole")]
    assert curves[0] == curves[1]


def test_a_killed_process_goes_on_to_the_same_bits(data, tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'name = "tiny"\nsteps = 80\nbatch_size = 2\npatch_size = 16\ncheckpoint_every = 5\n'
        "[network]\nkernel_size = 4\n[network.shrinkage]\nkind = 'energy-gated'\nwindow = 3\nterms = 1\n"
    )

    def command(out, *more):
        options = [
            "--recipe",
            recipe,
            "--data",
            data,
            "--out",
            out,
            "--threads",
            "1",
            "--device",
            "cpu",
            *more,
        ]
        return [sys.executable, "-m", "gradprox", "train", *map(str, options)]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    process = subprocess.Popen(
        command(tmp_path / "cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoint, deadline = tmp_path / "cut" / "checkpoint.safetensors", time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    subprocess.run(command(tmp_path / "cut", "--resume"), check=True, capture_output=True)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_run_is_not_overwritten_nor_mixed_with_another(data, tmp_path):
    train(RECIPE, data, tmp_path / "run")
    with pytest.raises(InputError, match="resume it"):
        train(RECIPE, data, tmp_path / "run")
    with pytest.raises(InputError, match="another recipe"):
        train(RECIPE.model_copy(update={"seed": 5}), data, tmp_path / "run", resume=True)
    (data / "2.png").unlink()
    with pytest.raises(InputError, match="other images"):
        train(RECIPE, data, tmp_path / "run", resume=True)


@pytest.mark.parametrize("change", [{"ema": 0.9}, {"clip_norm": 1e-3}, {"ema": 0.99, "clip_norm": 0.1}])
def test_averages_and_clipping_are_resumed_to_the_same_bits(data, tmp_path, change):
    recipe = RECIPE.model_copy(update=change)
    stop_after(7, recipe, data, tmp_path / "cut")
    train(recipe, data, tmp_path / "cut", resume=True)
    train(recipe, data, tmp_path / "whole")
    train(RECIPE, data, tmp_path / "plain")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole") != weights(tmp_path / "plain")


def test_the_average_of_the_weights_is_validated_and_saved(data, tmp_path):
    recipe = RECIPE.model_copy(update={"ema": 0.7, "steps": 5, "checkpoint_every": 1, "validate_every": 5})
    train(recipe, data, tmp_path / "run", validation=data)
    # The same training without an average, stopped after each step, gives the weights to average.
    average = {name: w.double() for name, w in initial.initial_network(recipe).named_parameters()}
    for step in range(5):
        plain = recipe.model_copy(update={"ema": None})
        stop_after(step + 1, plain, data, tmp_path / f"{step}")
        decay = min(0.7, (step + 1) / (step + 10))
        stored = load_file(tmp_path / f"{step}" / "checkpoint.safetensors")
        average = {
            name: decay * kept + (1 - decay) * stored[f"weight/{name}"].double()
            for name, kept in average.items()
        }
    saved = load_model(tmp_path / "run" / MODEL_FILE).network
    for name, weight in saved.named_parameters():
        torch.testing.assert_close(weight, average[name].float(), rtol=1e-5, atol=1e-7)
    held_out = [read_stored(path, 1)[None] / 255 for path in sorted(data.iterdir())]
    history = json.loads((tmp_path / "run" / "run.json").read_text())["history"]
    assert history[-1]["psnr"] == validate(saved, held_out, recipe.validation_levels, "cpu")


def test_gradients_are_clipped_to_the_norm(data, tmp_path, monkeypatch):
    norms = []
    genuine = torch.optim.Adam.step

    def step(optimizer, *arguments):
        gradients = [
            p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
        return genuine(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    train(RECIPE, data, tmp_path / "free")
    longest, count = max(norms), len(norms)
    train(RECIPE.model_copy(update={"clip_norm": longest / 2}), data, tmp_path / "clipped")
    assert max(norms[count:]) == pytest.approx(longest / 2, rel=1e-4)
    norms.clear()
    train(RECIPE.model_copy(update={"clip_norm": 1e6}), data, tmp_path / "unaffected")
    assert weights(tmp_path / "unaffected") == weights(tmp_path / "free")


def test_a_damaged_checkpoint_is_refused(data, tmp_path):
    train(RECIPE, data, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot resume"):
        train(RECIPE, data, tmp_path / "run", resume=True)


def test_batches_follow_from_seed_and_step(data):
    sampler = sampler_of(data, RECIPE)
    again = sampler_of(data, RECIPE)
    assert torch.equal(sampler.batch(3).noisy, again.batch(3).noisy)
    assert not torch.equal(sampler.batch(3).noisy, sampler.batch(4).noisy)
    low, high = RECIPE.noise_range
    sigmas = torch.cat([sampler.batch(step).sigma for step in range(100)])
    assert sigmas.min() >= low
    assert sigmas.max() <= high
    batch = sampler.batch(0)
    spread = (batch.noisy - batch.clean).std(dim=(1, 2, 3))
    torch.testing.assert_close(spread, batch.sigma, rtol=0.2, atol=0)


def test_repeated_batches_come_in_another_order_every_round(data):
    sampler = sampler_of(data, RECIPE.model_copy(update={"repeated_batches": 5}))
    rounds = [[sampler.batch(5 * turn + place) for place in range(5)] for turn in range(3)]
    orders = [[batch.number for batch in batches] for batches in rounds]
    assert [sorted(order) for order in orders] == 3 * [list(range(5))]
    assert orders[0] != orders[1] != orders[2]
    for first, second in zip(
        *(sorted(batches, key=lambda b: b.number) for batches in rounds[:2]), strict=True
    ):
        assert torch.equal(first.noisy, second.noisy)
        assert torch.equal(first.clean, second.clean)


def test_learning_rate_rises_then_falls():
    recipe = RECIPE.model_copy(update={"steps": 100, "warmup": 10, "learning_rate": 1.0})
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates.index(max(rates)) == 9
    assert 0 < rates[-1] < 0.02


def test_factors_of_the_learning_rate(data, tmp_path):
    # Adam's first step has the length of the learning rate, whatever the gradient.
    recipe = RECIPE.model_copy(
        update={"steps": 1, "warmup": 1, "learning_rate": 1e-3, "rate_factors": {"mixing": 8.0, "gates": 3.0}}
    )
    before = initial.initial_network(recipe).state_dict()
    after = load_model(train(recipe, data, tmp_path / "run")).network.state_dict()
    for name, value in before.items():
        factor = 8 if "mixing" in name else 3 if "gates" in name else 1
        largest = float((after[name] - value).abs().max())
        # A mixture of one term has no weights to learn.
        assert largest == pytest.approx(0 if "weight_logits" in name else factor * 1e-3, rel=1e-3), name


def test_a_factor_of_no_parameter_is_refused(data, tmp_path):
    recipe = RECIPE.model_copy(update={"rate_factors": {"mixer": 2.0}})
    with pytest.raises(InputError, match="'mixer'"):
        train(recipe, data, tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        ('name = "x"\nsteps = 1\nrate_factors = {gates = 0}', "rate_factors.gates"),
        ('name = "x"', "steps"),
        ('name = "x"\nsteps = 1\nspeed = 3', "speed"),
        ('name = "x"\nsteps = 1\nnoise_range = [0.2, 0.1]', "noise_range"),
        ('name = "x"\nsteps = 1\n[network.shrinkage]\nkind = "energy-gated"\nwindow = 4', "window"),
        ("\x00\xff", "not a TOML file"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_unusable_images_are_named(data, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        train(RECIPE, tmp_path / "nowhere", tmp_path / "run")
    with pytest.raises(InputError, match="smaller than a 64-pixel patch"):
        train(RECIPE.model_copy(update={"patch_size": 64}), data, tmp_path / "run2")


def test_a_network_that_is_not_monotone_trains_validates_and_resumes(data, tmp_path):
    network = DeepPotentialConfig(widths=(4,), blocks=(1,))
    recipe = RECIPE.model_copy(update={"network": network, "ema": 0.9, "clip_norm": 1.0})
    train(recipe, data, tmp_path / "whole", validation=data)
    stop_after(7, recipe, data, tmp_path / "cut")
    train(recipe, data, tmp_path / "cut", validation=data, resume=True)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    history = json.loads((tmp_path / "whole" / "run.json").read_text())["history"]
    assert [entry["step"] for entry in history] == [6, 12]
