"""`gradprox deblur` treats white and black pixels as clipped, where they can be, and only there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def overexposed(photo, tmp_path):
    """Return a photo with a white part, as a PNG file and as an array of floats."""
    samples = np.asarray(Image.open(photo)).copy()
    samples[10:20, 10:30] = 255
    Image.fromarray(samples).save(tmp_path / "white.png")
    np.save(tmp_path / "white.npy", (samples / 255).astype(np.float32))
    return tmp_path / "white.png"


@pytest.mark.parametrize(
    ("name", "options", "clipped"),
    [
        ("white.png", (), True),
        ("white.png", ("--no-clipping",), False),
        ("white.png", ("--solver", "pgd"), False),
        ("white.png", ("--strength", "auto"), False),
        ("white.npy", (), False),
        ("photo.png", (), False),
    ],
)
def test_clipped_pixels_are_told(run, overexposed, tmp_path, name, options, clipped):
    report = tmp_path / "report.json"
    words = ("--kernel", "gaussian:1", "--noise", 0.01, "--steps", 1, "--model", "gray-fast", *options)
    code, out, _ = run("deblur", tmp_path / name, *words, "--json", report, "-o", tmp_path / "out.png")
    assert code == 0
    (image,) = json.loads(report.read_text())["images"]
    share = image.get("clipped_pixels", 0.0)
    assert (share >= 200 / (64 * 48)) is clipped
    assert ("of the pixels clipped" in out) is clipped


def test_clipping_changes_the_restoration(run, overexposed, tmp_path):
    words = ("--kernel", "gaussian:1.5", "--noise", 0.01, "--model", "gray-fast")
    for name, options in (("with", ()), ("without", ("--no-clipping",))):
        code, *_ = run("deblur", overexposed, *words, *options, "-o", tmp_path / f"{name}.npy")
        assert code == 0
    inside, without = (np.load(tmp_path / f"{name}.npy")[12:18, 14:26] for name in ("with", "without"))
    assert inside.min() >= without.min() - 1e-3
    assert inside.mean() > without.mean() + 0.01
