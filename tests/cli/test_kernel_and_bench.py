"""``gradprox kernel`` and ``gradprox bench``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gradprox.cli.kernel import odd_sides
from gradprox.images import read_image
from gradprox.physics import CircularBlur, ValidBlur, read_kernel


@pytest.mark.parametrize(
    ("suffix", "accuracy"), [(".png", 2e-5), (".tif", 2e-5), (".npy", 1e-8), (".npz", 1e-8)]
)
@pytest.mark.parametrize("description", ["motion:9:30", "disk:2.5", "gaussian:1.6"])
def test_a_written_kernel_is_the_kernel(run, tmp_path, description, suffix, accuracy):
    path = tmp_path / f"k{suffix}"
    code, out, _ = run("kernel", description, "-o", path)
    assert code == 0
    assert "center of mass" in out
    kernel, again = read_kernel(description), read_kernel(str(path))
    assert float(again.sum()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(again, kernel, rtol=0, atol=accuracy)
    if suffix == ".png":
        assert float(read_image(path).pixels.max()) == 1


def test_padding_to_odd_sides_changes_no_blur():
    kernel = torch.rand(1, 1, 4, 6, dtype=torch.float64)
    padded = odd_sides(kernel)
    assert padded.shape == (1, 1, 5, 7)
    image = torch.rand(1, 1, 16, 17, dtype=torch.float64)
    size = (16, 17)
    torch.testing.assert_close(CircularBlur(padded, size).A(image), CircularBlur(kernel, size).A(image))
    inner = ValidBlur(kernel, size).A(image)
    assert ValidBlur(padded, size).A(image).shape[-1] == inner.shape[-1] - 1


def test_figures_of_a_kernel(run, tmp_path):
    shifted = np.zeros((4, 5))
    shifted[3, 4] = 2.0  # one down of the middle (2), two right of it (2)
    np.save(tmp_path / "in.npy", shifted)
    code, out, _ = run("kernel", tmp_path / "in.npy", "-o", tmp_path / "k.npy", "--json", tmp_path / "k.json")
    assert code == 0
    assert "padded to odd sides" in out
    figures = json.loads((tmp_path / "k.json").read_text())
    assert (figures["size"], figures["center"], figures["spread"]) == ([5, 5], [1.0, 2.0], [0.0, 0.0])
    assert np.load(tmp_path / "k.npy")[3, 4] == 1


def test_kernels_that_cannot_be_written(run, tmp_path):
    for arguments, message in (
        (("motion:15", "-o", tmp_path / "k.png"), "motion:LENGTH:ANGLE"),
        (("disk:1", "-o", tmp_path / "k.jpg"), "must end in one of"),
        (("smear:3", "-o", tmp_path / "k.png"), "not a kernel"),
    ):
        code, _, err = run("kernel", *arguments)
        assert code == 1
        assert message in err
    assert not list(tmp_path.iterdir())
    assert run("kernel", "disk:1", "-o", tmp_path / "k.png")[0] == 0
    assert "--overwrite" in run("kernel", "disk:2", "-o", tmp_path / "k.png")[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
def test_bench_runs_the_shipped_model(run, tmp_path):
    assert run("bench", "gray", "--size", 32, "--repeats", 1, "--json", tmp_path / "speed.json")[0] == 0
    runs = json.loads((tmp_path / "speed.json").read_text())["runs"]
    assert [(row["backend"], row["threads"]) for row in runs] == [
        ("torch", 1), ("torch", 2), ("onnxruntime", 1), ("onnxruntime", 2),
    ]  # fmt: skip
