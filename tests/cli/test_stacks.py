"""Stacks on the command line: every image is restored, an interrupted stack goes on, and refusals say what to do."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import tifffile
from PIL import Image

from gradprox import load_model
from gradprox.cli import meter
from gradprox.images import open_stack
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.priors import save_network

RANDOM = np.random.default_rng(0)
PAGES = RANDOM.integers(10000, 50000, (4, 20, 24), dtype=np.uint16)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model file, which costs nothing."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_network(
        IdentityPath(IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1))), path
    )
    return path


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, PAGES, imagej=True, metadata={"axes": "ZYX", "spacing": 2.0})
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_every_page_is_restored_as_an_image_of_its_own(run, stack, model, tmp_path, workers):
    pages = tmp_path / "pages"
    pages.mkdir()
    for number, page in enumerate(PAGES):
        tifffile.imwrite(pages / f"{number}.tif", page)
    blur = ("--kernel", "gaussian:1", "--noise", "0.02", "--steps", 1, "--model", model)
    extra = ("--uncertainty", f"{tmp_path}/maps/") if workers == 1 else ("--workers", workers)
    inputs, report = (stack, pages), tmp_path / "report.json"
    code, said, err = run("deblur", *inputs, *blur, *extra, "-o", f"{tmp_path}/out/", "--json", report)
    assert code == 0, err
    assert "stack.tif  4 images" in said
    singles = np.stack([tifffile.imread(tmp_path / "out" / f"{n}.tif") for n in range(4)])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "stack.tif"), singles)
    with tifffile.TiffFile(tmp_path / "out" / "stack.tif") as file:
        assert file.imagej_metadata["spacing"] == 2.0
    record = json.loads(report.read_text())["images"][0]
    assert len(record["images"]) == 4
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    if workers == 1:
        maps = [np.asarray(Image.open(tmp_path / "maps" / f"{n}.png")) for n in range(4)]
        drawn = [image.array[0, 0] for image in open_stack(tmp_path / "maps" / "stack.png").images()]
        np.testing.assert_allclose(np.stack(drawn) * 255, np.stack(maps), atol=1e-4)
        assert record["uncertainty"] == str(tmp_path / "maps" / "stack.png")
        assert all(image["mean_deviation"] > 0 for image in record["images"])


def test_animations_and_estimates_per_frame(run, model, tmp_path):
    levels, frames = (4, 12, 4), []
    for level in levels:
        frame = 128 + level * RANDOM.standard_normal((64, 64))
        frames.append(Image.fromarray(frame.round().astype(np.uint8)))
    source, out, report = tmp_path / "a.webp", tmp_path / "out.webp", tmp_path / "report.json"
    colors = [frame.convert("RGB") for frame in frames]
    colors[0].save(
        source, save_all=True, append_images=colors[1:], duration=[40, 50, 60], loop=2, lossless=True
    )
    code, said, _ = run("denoise", source, "--model", model, "-o", out, "--json", report)
    assert code == 0
    assert "3 images, noise estimated at " in said
    (record,) = json.loads(report.read_text())["images"]
    found = [255 * image["estimated_noise"] for image in record["images"]]
    np.testing.assert_allclose(found, levels, rtol=0.2)
    with Image.open(out) as image:
        assert (image.n_frames, image.info["loop"]) == (3, 2)
    assert run("denoise", source, "--model", model, "-o", tmp_path / "out.png")[0] == 0
    code, _, err = run("denoise", source, "--model", model, "-o", tmp_path / "out.jpg")
    assert (code, "out.jpg would hold one image, and" in err, "write a file .tif" in err) == (1, True, True)


def test_channels_as_gray_images(run, model, tmp_path):
    samples = RANDOM.integers(0, 256, (2, 20, 24, 5), dtype=np.uint8)
    source, out = tmp_path / "five.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, samples, photometric="minisblack", planarconfig="contig", metadata=None)
    common = ("denoise", source, "--noise", "0.05", "--model", model, "-o", out)
    code, _, err = run(*common)
    assert (code, err.count("\n")) == (1, 1)
    assert "5 samples per pixel are not supported" in err
    assert "--channels separate" in err
    assert run(*common, "--channels", "separate")[0] == 0
    restored = tifffile.imread(out)
    assert restored.shape == samples.shape
    D = load_model(str(model))
    import torch

    for channel in (0, 4):
        plane = torch.from_numpy(samples[1, ..., channel] / np.float32(255))[None, None]
        with torch.no_grad():
            expected = (D(plane, 0.05).clamp(0, 1) * 255).round()[0, 0]
        assert np.abs(restored[1, ..., channel] - expected.numpy()).max() <= 1
    assert "unknown" in run(*common, "--overwrite", "--channels", "apart")[2]


def test_an_interrupted_stack_goes_on(run, stack, model, tmp_path, monkeypatch):
    out, plain = tmp_path / "out.tif", tmp_path / "plain.tif"
    common = ("denoise", stack, "--noise", "0.05", "--model", model)
    assert run(*common, "-o", plain)[0] == 0
    begin, begun = meter.Meter.begin, []

    def interrupting(self, part, parts):
        begun.append(part)
        begin(self, part, parts)
        if len(begun) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(meter.Meter, "begin", interrupting)
    code, _, err = run(*common, "-o", out)
    folder = tmp_path / ".out.tif.images"
    assert code == 130
    assert err.strip() == (
        f"stopped: {stack}: finished 2 of 4 images, kept in {folder}; run the command again with --resume to go on"
    )
    assert not out.exists()
    assert run(*common, "-o", out, "--resume")[0] == 0
    assert begun == [0, 1, 2, 2, 3]
    assert out.read_bytes() == plain.read_bytes()
    assert not folder.exists()
    # Finished images of other settings are of no use, and neither are they without --resume.
    for again, why in (
        (("--noise", "0.06", "--resume"), "a setting has changed"),
        ((), "--resume was not given"),
    ):
        out.unlink()
        begun.clear()
        assert run(*common, "-o", out)[0] == 130
        code, _, err = run(*common, *again, "-o", out)
        assert code == 0
        assert f"{why}\n" in err
        assert begun == [0, 1, 2, 0, 1, 2, 3]


def test_damaged_stacks_and_one_line(run, stack, model, tmp_path):
    common = ("--noise", "0.05", "--model", model, "-o", f"{tmp_path}/out/")
    pages = PAGES.astype(np.float32) / 65535
    pages[2, 3, 4] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", pages, photometric="minisblack")
    pages[2, 3, 4] = 300
    tifffile.imwrite(tmp_path / "scale.tif", pages, photometric="minisblack")
    (tmp_path / "short.tif").write_bytes(stack.read_bytes()[:-200])
    for name, said in (
        ("nan", "page 3: contains NaN"),
        ("scale", "image 3: values reach 300"),
        ("short", "damaged or truncated TIFF"),
    ):
        code, _, err = run("denoise", tmp_path / f"{name}.tif", *common)
        assert (code, err.count("\n"), said in err) == (1, 1, True), err
        assert not (tmp_path / "out").exists()
    kernel = ("--force", "--write-kernel", tmp_path / "k.npy")
    assert "leave --write-kernel out" in run("deblur", stack, *kernel, *common)[2]
