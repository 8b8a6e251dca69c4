"""Every benchmark runs at its smallest size and writes its figures; their values are not tested."""

from __future__ import annotations

import json
import math
import runpy
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gradprox.physics import motion_kernel
from tests.printed import ROOT

PAPER = {
    "activations": ["--only", "mGradNet-M (soft", "MLP gradient (tanh"],
    "field_2d": ["--only", "GradNet-M (radial", "ICGN"],
    "field_high": ["--dim", "5", "--field", "ball", "--samples", "64", "--only", "mGradNet-C (s", "ICNN"],
    "hamiltonian": ["--only", "GradNet-M (norms", "MLP gradient"],
    "nondifferentiable": ["--target", "l1", "--only", "mGradNet-M (spline", "MLP"],
}


def run(monkeypatch, script, *arguments):
    path = ROOT / "benchmarks" / script
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    before = {*sys.modules}
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:  # raised by typer at the end of a command
        if end.code:
            raise
    finally:
        torch.set_num_threads(threads)
        # Modules in different folders of benchmarks may have the same name.
        for name in {*sys.modules} - before:
            if str(path.parent) in str(getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]


def figures(report):
    """Yield the figures of every network."""
    if "results" in report:
        yield from report["results"].values()
        return
    for part in report.values():
        if isinstance(part, dict):
            yield from figures(part)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_experiments(name, monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    run(monkeypatch, f"paper/{name}.py", "--seeds", 1, "--steps", 1, *PAPER[name], "--json", out)
    found = [*figures(json.loads(out.read_text()))]
    assert len(found) >= 2
    for row in found:
        assert row["parameters"] > 0
        assert math.isfinite(row["mean_db"])


@pytest.fixture
def folder(tmp_path):
    """A folder with one small image."""
    path = tmp_path / "images"
    path.mkdir()
    values = np.random.default_rng(0).integers(256, size=(18, 20), dtype=np.uint8)
    Image.fromarray(values).save(path / "one.png")
    return path


def test_levin(monkeypatch, tmp_path, folder):
    kernels, out = tmp_path / "kernels.npz", tmp_path / "report.json"
    np.savez(kernels, k1=motion_kernel(3, 20).numpy()[0, 0])
    common = ["--data", folder, "--kernels", kernels, "--json", out, "--model", "gray-fast", "--tuning", 1]
    run(monkeypatch, "solvers/levin.py", *common, "--cases", 1)
    first = json.loads(out.read_text())
    run(monkeypatch, "solvers/levin.py", *common, "--cases", 2)
    again = json.loads(out.read_text())
    for level in ("2.55/255", "7.65/255"):
        assert len(first["cases"][level]) == 1
        assert again["cases"][level][0] == first["cases"][level][0]  # the run is continued
        assert all(row[name] > 10 for row in again["cases"][level] for name in ("certified", "tv"))


def test_jpeg(monkeypatch, tmp_path):
    images, kernels, out = tmp_path / "images", tmp_path / "kernels.npz", tmp_path / "report.json"
    images.mkdir()
    # Far less noise than models were trained for.
    Image.fromarray(np.random.default_rng(0).integers(100, 140, size=(36, 40), dtype=np.uint8)).save(
        images / "one.png"
    )
    np.savez(kernels, k1=motion_kernel(3, 20).numpy()[0, 0], k4=motion_kernel(5, 60).numpy()[0, 0])
    common = ["--data", images, "--kernels", kernels, "--json", out, "--quality", 80, "--noise", 5]
    run(monkeypatch, "solvers/jpeg.py", *common)
    first = out.read_bytes()
    assert {case.split(",")[0] for case in json.loads(first)} == {
        "k1",
        "k4",
        "disk:3",
        "gaussian:1.6",
        "none",
    }
    assert all(math.isfinite(row["one.png"]["gain"]) for row in json.loads(first).values())
    run(monkeypatch, "solvers/jpeg.py", *common)
    assert out.read_bytes() == first  # nothing is restored twice


def test_convergence(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    options = ["--crop", 32, "--steps", 3, "--model", "gray-small", "--kernel", "motion:3:20", "--tol", 0]
    run(monkeypatch, "solvers/convergence.py", *options, "--json", out)
    for row in json.loads(out.read_text())["figures"].values():
        assert row["steps"] == 3
        assert row["best"] >= row["end"] == row["psnr"]["200"] > 10


def test_clipped(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    options = ["--crop", 48, "--model", "gray-small", "--kernel", "motion:5:20", "--json", out]
    run(monkeypatch, "solvers/clipped.py", *options)
    means = json.loads(out.read_text())["mean"]
    assert {*means} == {"photo", "equations", "inequalities"}
    assert all(math.isfinite(psnr) for psnr in means.values())


def test_weighted(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    options = ["--crop", 32, "--model", "gray-small", "--kernel", "motion:5:20", "--json", out]
    run(monkeypatch, "solvers/weighted.py", *options)
    for found in json.loads(out.read_text())["peaks"].values():
        assert {*found["mean"]} == {"photo", "equal", "weighted"}
        assert all(math.isfinite(psnr) for psnr in found["mean"].values())


def test_preconditioning(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    options = ["--crop", 32, "--model", "gray-small", "--kernel", "motion:5:20", "--json", out]
    run(monkeypatch, "solvers/preconditioning.py", *options)
    for found in json.loads(out.read_text())["figures"].values():
        assert found["plain"] != found["preconditioned"]
        assert all(10 < way["psnr"] < math.inf for way in found.values())


def test_warm_start(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    options = ["--crop", 32, "--model", "gray-small", "--kernel", "motion:5:20", "--json", out]
    run(monkeypatch, "solvers/warm_start.py", *options)
    for found in json.loads(out.read_text())["figures"].values():
        assert found["12 levels, momentum 0"]["psnr"] != found["10 levels, momentum 0"]["psnr"]
        assert found["12 levels, momentum 0.3"]["gain"] != 0
        assert all(10 < way["psnr"] < math.inf for way in found.values())


def test_presets(monkeypatch, tmp_path, folder):
    out = tmp_path / "report.json"
    common = ["--data", folder, "--crop", 16, "--task", "deblur", "--json", out]
    run(monkeypatch, "solvers/presets.py", *common)
    first = out.read_bytes()
    (row,) = json.loads(first)["deblur, motion blur"].values()
    assert {*row} == {"start", "solver", "preset", "other"}
    assert all(math.isfinite(psnr) for psnr in row.values())
    run(monkeypatch, "solvers/presets.py", *common)
    assert out.read_bytes() == first  # nothing is restored twice


def test_overhead(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    run(monkeypatch, "solvers/overhead.py", "--side", 16, "--json", out)
    figures = json.loads(out.read_text())["milliseconds"]
    assert {*figures} == {"identity", "gray-fast"}


def test_calibration(monkeypatch, tmp_path, folder):
    out, image = tmp_path / "report.json", tmp_path / "calibration.png"
    run(monkeypatch, "calibration.py", "--data", folder, "--bins", 2, "--json", out, "--image", image)
    assert json.loads(out.read_text())
    assert image.stat().st_size > 0


def test_uncertainty(monkeypatch, tmp_path, folder):
    out = tmp_path / "report.json"
    common = ("uncertainty.py", "--data", folder, "--crop", 8, "--model", "gray-small", "--json", out)
    run(monkeypatch, *common, "--task", "cs", "--count", 1)
    first = json.loads(out.read_text())
    assert first["images"] == 1
    assert 0 <= first["within"]["1.0"][0] <= first["within"]["1.0"][1] <= 1
    run(monkeypatch, *common, "--task", "cs", "--count", 1)  # continues with nothing left to do
    assert json.loads(out.read_text()) == first


def test_scaling(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    run(monkeypatch, "paper/scaling.py", "--dims", 8, "--json", out)
    assert json.loads(out.read_text())


@pytest.mark.parametrize(
    ("blurs", "boundary"), [("free", "valid"), ("free", "circular"), ("families", "valid"), ("none", "valid")]
)
def test_blind(monkeypatch, tmp_path, blurs, boundary):
    images, kernels, out = tmp_path / "images", tmp_path / "kernels.npz", tmp_path / "report.json"
    images.mkdir()
    values = np.random.default_rng(0).integers(256, size=(90, 90), dtype=np.uint8)
    Image.fromarray(values).save(images / "one.png")
    np.savez(kernels, k1=motion_kernel(3, 20).numpy()[0, 0])
    words = ["--data", images, "--kernels", kernels, "--blurs", blurs, "--family", "disk", "--crop", 70]
    words += ["--boundary", boundary]
    run(monkeypatch, "blind.py", *words, "--json", out, "--cases", 1)
    first = json.loads(out.read_text())["cases"]
    run(monkeypatch, "blind.py", *words, "--json", out, "--cases", 2)
    report = json.loads(out.read_text())
    assert report["cases"][:1] == first
    assert len(report["cases"]) == report["summary"]["cases"] == 2
    assert ("ratio" in first[0]) is (blurs != "none")
    if blurs != "none":
        assert first[0]["loss"] == pytest.approx(10 * math.log10(first[0]["ratio"]))


def test_blind_photos_are_blurred_with_the_named_boundary(monkeypatch, tmp_path):
    """With circular borders, a shift of the sharp image shifts the photo; with valid ones, it has other borders."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    photo = runpy.run_path(str(ROOT / "benchmarks" / "blind.py"))["photo"]
    values = np.random.default_rng(0).integers(256, size=(64, 64), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "one.png")
    kernel = motion_kernel(7, 0)
    y, clean = photo(tmp_path / "one.png", kernel, "circular", 64, 0)
    assert y.shape == clean.shape == (1, 1, 64, 64)
    assert float(y.mean()) == pytest.approx(float(clean.mean()), abs=1e-3)
    wrapped = torch.nn.functional.pad(clean, (3, 3, 0, 0), mode="circular")
    middle = kernel[..., kernel.shape[-2] // 2 : kernel.shape[-2] // 2 + 1, :]
    assert float((torch.nn.functional.conv2d(wrapped, middle) - y).abs().max()) < 0.06  # noise of 0.01
    y, clean = photo(tmp_path / "one.png", kernel, "valid", 64, 0)
    assert y.shape == clean.shape == (1, 1, 64 - kernel.shape[-2] + 1, 64 - kernel.shape[-1] + 1)


def test_blind_errors_forgive_shifts(monkeypatch):
    """A shift of the image is no error; a change is."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    squared_error = runpy.run_path(str(ROOT / "benchmarks" / "blind.py"))["squared_error"]
    clean = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert squared_error(clean.roll((3, -5), (-2, -1)), clean) == pytest.approx(0, abs=1e-9)
    assert squared_error(clean + 0.1, clean) == pytest.approx(0.01 * 32**2, rel=1e-3)


def test_camera_photos(monkeypatch, tmp_path):
    images, out = tmp_path / "images", tmp_path / "report.json"
    images.mkdir()
    values = np.random.default_rng(0).integers(256, size=(90, 90, 3), dtype=np.uint8)
    for name in ("one.png", "two.png"):
        Image.fromarray(values).save(images / name)
    words = ["--data", images, "--crop", 64, "--model", "gray-small", "--json", out, "--kernel", "true"]
    run(monkeypatch, "camera_photos.py", *words, "--mode", "stored", "--cases", 1)
    (first,) = json.loads(out.read_text())["cases"]
    assert first["results"]["true, stored"]["linear_light"] is False
    run(monkeypatch, "camera_photos.py", *words, "--mode", "automatic", "--mode", "light", "--cases", 1)
    (case,) = json.loads(out.read_text())["cases"]
    found = {name: {**row, "seconds": None} for name, row in case["results"].items()}
    assert case["results"]["true, stored"] == first["results"]["true, stored"]  # nothing is restored twice
    assert found["true, automatic"] == found["true, light"] != found["true, stored"]
    report = json.loads(out.read_text())["summary"]["true kernel, automatic"]
    assert (report["photos"], report["mean gain"]) == (1, found["true, automatic"]["gain"])
