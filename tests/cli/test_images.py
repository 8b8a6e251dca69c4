"""Every command has the same rule for the scale of images, and says what an output file does not keep."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from gradprox.images import read_image
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.physics import Sensing, write_measurements
from gradprox.priors import save_network

RULE = "but black is 0 and white is 1: divide them by the value of white"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_network(
        IdentityPath(IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1))), path
    )
    return path


@pytest.fixture
def data(tmp_path):
    """Return a folder with one floating-point image of 0..255."""
    folder = tmp_path / "data"
    folder.mkdir()
    pixels = 255 * np.random.default_rng(0).random((36, 40))
    tifffile.imwrite(folder / "wrong.tif", pixels.astype("f4"), photometric="minisblack")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("denoise", "DATA/wrong.tif", "-o", "OUT"),
        ("deblur", "DATA/wrong.tif", "--kernel", "disk:1", "-o", "OUT"),
        ("deblur", "DATA/wrong.tif", "--kernel", "disk:1", "--linear-light", "-o", "OUT"),
        ("evaluate", "denoise", "--data", "DATA"),
        ("evaluate", "deblur", "--data", "DATA", "--kernel", "disk:1"),
        ("evaluate", "cs", "--data", "DATA"),
        ("evaluate", "denoise", "--data", "DATA", "--color"),
        ("sense", "DATA/wrong.tif", "-o", "OUT.npz"),
        ("train", "--recipe", "gray-small", "--data", "DATA", "--out", "OUT"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("sign", [1, -1], ids=["bright", "dark"])
def test_gray_levels_of_255_are_refused_by_every_command(run, data, model, tmp_path, command, sign):
    path = data / "wrong.tif"
    tifffile.imwrite(path, sign * tifffile.imread(path), photometric="minisblack")
    words = [word.replace("DATA", str(data)).replace("OUT", str(tmp_path / "out")) for word in command]
    if command[0] not in ("sense", "train"):
        words += ["--model", str(model)]
    code, _, err = run(*words)
    assert code == 1
    assert err.startswith(f"error: {path}: values reach ")
    assert RULE in err


@pytest.mark.parametrize("sampling", ["hadamard", "block-gaussian"])
def test_measurements_of_gray_levels_are_refused(run, data, model, tmp_path, sampling):
    pixels = read_image(data / "wrong.tif").pixels
    sensing = Sensing.described(sampling, 0.3, (36, 40), 1, 0, 0.0)
    write_measurements(tmp_path / "y.npz", sensing.physics().A(pixels), sensing)
    code, _, err = run("recover", tmp_path / "y.npz", "--model", model, "-o", tmp_path / "out.png")
    assert code == 1
    assert RULE in err


def test_the_scale_of_linear_light_is_that_of_the_file(run, model, tmp_path):
    # A highlight of 5 on the file's scale is light of 47.
    pixels = np.random.default_rng(0).random((24, 26)).astype("f4")
    pixels[5, 6] = 5.0
    np.save(tmp_path / "in.npy", pixels)
    options = ("--kernel", "disk:1", "--noise", "0.01", "--linear-light", "--steps", "1", "--model", model)
    assert run("deblur", tmp_path / "in.npy", *options, "-o", tmp_path / "out.npy")[0] == 0


def test_what_a_file_does_not_keep_is_printed_and_reported(run, model, tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (24, 26, 4), np.uint8)
    Image.fromarray(values).save(tmp_path / "in.png", dpi=(300, 300))
    report = tmp_path / "report.json"
    for command in (("denoise",), ("deblur", "--kernel", "disk:1", "--steps", "1")):
        words = (*command, tmp_path / "in.png", "--noise", "0.05", "--model", model)
        code, said, _ = run(*words, "-o", tmp_path / "out.webp", "--json", report, "--overwrite")
        assert (code, said.count("not kept: resolution")) == (0, 1)
        assert json.loads(report.read_text())["images"][0]["not_kept"] == ["resolution"]
        code, said, _ = run(*words, "-o", tmp_path / "out.png", "--json", report, "--overwrite")
        assert "not kept" not in said
        assert "not_kept" not in json.loads(report.read_text())["images"][0]
