"""``deblur --uncertainty`` and ``recover --uncertainty``: images and arrays of deviations, folders, and refusals."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from gradprox import load_model
from gradprox.cli import error_maps
from gradprox.images import read_gray
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.posterior import restoration_deviation
from gradprox.priors import save_network
from gradprox.solvers import ClippedL2, Task, preset


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model file, which costs nothing."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_network(
        IdentityPath(IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1))), path
    )
    return path


@pytest.fixture
def small(photo):
    with Image.open(photo) as image:
        image.crop((0, 0, 24, 20)).save(photo)
    return photo


def test_the_map_is_that_of_the_library(run, small, model, tmp_path):
    blur = ("--kernel", "gaussian:1", "--noise", "0.02", "--boundary", "circular", "--strength", "2")
    common = ("deblur", small, *blur, "--model", model, "-o", tmp_path / "sharp.png", "--overwrite")
    report = tmp_path / "report.json"
    assert run(*common, "--uncertainty", tmp_path / "map.npy", "--json", report)[0] == 0
    assert run(*common, "--uncertainty", tmp_path / "map.png")[0] == 0
    found = np.load(tmp_path / "map.npy")
    y, D = read_gray(small), load_model(str(model))
    physics = CircularBlur(gaussian_kernel(1.0), (20, 24))
    fidelity = ClippedL2() if bool(((y <= 0) | (y >= 1)).any()) else None
    x = preset(Task.DEBLUR, 0.02, strength=2)(y, physics, D, fidelity=fidelity).x
    expected = restoration_deviation("deblur", x, y, physics, D, 0.02, strength=2, fidelity=fidelity)
    np.testing.assert_allclose(found, expected.deviation[0, 0], rtol=2e-3)
    with Image.open(tmp_path / "map.png") as image:
        drawn = np.asarray(image) / 255
    np.testing.assert_allclose(drawn, (found / error_maps.WHITE).clip(0, 1), atol=0.51 / 255)
    (record,) = json.loads(report.read_text())["images"]
    assert record["mean_deviation"] == pytest.approx(float(found.mean()))
    assert record["uncertainty_probes"] == expected.probes == 32
    assert 0 < record["uncertainty_seconds"] <= record["seconds"]
    assert record["least_curvature"] == pytest.approx(float(expected.curvature), rel=0.01)


def test_maps_of_real_photos_have_the_size_of_the_output(run, small, model, tmp_path):
    blur = ("--kernel", "gaussian:1", "--noise", "0.02", "--model", model, "--steps", 1)
    for number, extra in enumerate(((), ("--linear-light",))):
        target = tmp_path / f"{number}.npy"
        command = ("deblur", small, *blur, *extra, "-o", tmp_path / f"{number}.png", "--uncertainty", target)
        assert run(*command)[0] == 0
        assert np.load(target).shape == (20, 24)
        assert (np.load(target) > 0).all()


def test_deviations_of_light_become_those_of_stored_values():
    light, deviation = torch.tensor([0.2, 0.8]), torch.tensor([1e-3, 1e-3])
    shown = error_maps.shown_deviation(light, deviation)
    slope = torch.func.vmap(torch.func.grad(to_display))(light)
    torch.testing.assert_close(shown, slope * deviation, rtol=1e-3, atol=0)


def to_display(light):
    from gradprox.images.srgb import to_display

    return to_display(light)


def test_recovered_images_and_folders(run, small, model, tmp_path):
    assert run("sense", small, "--ratio", "0.5", "--sampling", "dct", "-o", tmp_path / "y/a.npz")[0] == 0
    shutil.copy(tmp_path / "y/a.npz", tmp_path / "y/b.npz")
    maps = tmp_path / "maps"
    command = ("recover", tmp_path / "y", "-o", tmp_path / "back", "--model", model, "--steps", 1)
    assert run(*command, "--uncertainty", f"{maps}/")[0] == 0
    assert sorted(path.name for path in maps.iterdir()) == ["a.png", "b.png"]
    # Only what is missing is done again, and nothing is replaced without being asked.
    (tmp_path / "back" / "b.png").unlink()
    code, _, err = run(*command, "--uncertainty", f"{maps}/")
    assert (code, "--overwrite" in err) == (1, True)
    assert run(*command, "--uncertainty", f"{maps}/", "--resume")[0] == 0


@pytest.mark.parametrize("command", ["deblur", "denoise", "recover"])
def test_ctrl_c_during_the_map_keeps_the_image(run, small, model, tmp_path, monkeypatch, command):
    """A map takes far longer than the image, which is written first."""
    source, options = small, ("--noise", "0.02")
    if command == "deblur":
        options += ("--kernel", "gaussian:1", "--steps", 1)
    elif command == "recover":
        source, options = tmp_path / "y.npz", ("--steps", 1)
        assert run("sense", small, "--ratio", "0.5", "--sampling", "dct", "-o", source)[0] == 0
    out, chart, plain = tmp_path / "out.png", tmp_path / "map.png", tmp_path / "plain.png"
    common = (command, source, *options, "--model", model)
    assert run(*common, "-o", plain)[0] == 0

    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr("gradprox.posterior.restoration_deviation", interrupted)
        patched.setattr("gradprox.priors.posterior_deviation", interrupted)
        code, _, err = run(*common, "-o", out, "--uncertainty", chart)
    assert code == 130
    assert [line for line in err.splitlines() if line] == [
        f"stopped: {out} is complete, but the map of its uncertainty is missing; run the command again with --resume "
        "to draw it"
    ]
    assert out.read_bytes() == plain.read_bytes()
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name or path == chart]
    assert run(*common, "-o", out, "--uncertainty", chart, "--resume")[0] == 0
    assert chart.exists()


def test_samples_give_a_map_too(run, small, model, tmp_path):
    out, report = tmp_path / "out.png", tmp_path / "report.json"
    common = ("deblur", small, "--kernel", "gaussian:1", "--noise", "0.02", "--model", model, "-o", out)
    assert run(*common, "--samples", 3)[2].count("--uncertainty") == 1
    target = tmp_path / "map.npy"
    assert run(*common, "--samples", 3, "--uncertainty", target, "--json", report)[0] == 0
    assert np.load(target).shape == (20, 24)
    (record,) = json.loads(report.read_text())["images"]
    assert record["r_hat"] > 0
    assert 0 <= record["acceptance"] <= 1


def test_names_and_models_that_cannot_be_used(run, small, model, tmp_path):
    out = tmp_path / "out.png"
    common = ("deblur", small, "--kernel", "gaussian:1", "--noise", "0.02", "-o", out)
    assert "different names" in run(*common, "--uncertainty", out)[2]
    onnx = ("--model", tmp_path / "model.onnx", "--provider", "cpu")
    assert "derivatives" in run(*common, *onnx, "--uncertainty", tmp_path / "u.png")[2]
    (tmp_path / "u.png").write_bytes(b"precious")
    assert "--overwrite" in run(*common, "--model", model, "--uncertainty", tmp_path / "u.png")[2]
    assert (tmp_path / "u.png").read_bytes() == b"precious"
    assert not out.exists()


def test_maps_of_two_inputs_need_two_files(run, small, model, tmp_path):
    with Image.open(small) as image:
        image.save(small.with_suffix(".tif"))
    common = (small, small.with_suffix(".tif"), "--noise", "0.02", "--model", model, "-o", tmp_path / "out")
    for command in (("denoise", "--uncertainty"), ("deblur", "--write-kernel")):
        code, _, err = run(command[0], *common, command[1], tmp_path / "beside")
        assert (code, err.count("\n")) == (1, 1)
        assert "photo.tif: another input has the same name" in err
    assert not (tmp_path / "out").exists()
