"""`gradprox deblur` says in one line that a kernel does not fit, and says nothing of one that does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gradprox.images import EXAMPLE_IMAGE, read_gray
from gradprox.physics import LARGEST_FITTING_PEAK, blur_of_images, gaussian_noise, motion_kernel


@pytest.fixture
def blurred(tmp_path):
    """Return the file of a photo, 120 pixels wide, blurred by ``motion:9:20``."""
    sharp = read_gray(EXAMPLE_IMAGE)[..., 60:188, 60:188]
    y = blur_of_images("valid", motion_kernel(9, 20), (128, 128), 1).A(sharp)
    y = y + gaussian_noise(y, 0.01, torch.Generator().manual_seed(0))
    np.save(tmp_path / "photo.npy", y[0, 0].numpy())
    return tmp_path / "photo.npy"


@pytest.mark.parametrize(("kernel", "fits"), [("motion:9:20", True), ("motion:9:40", False)])
def test_a_wrong_kernel_is_told_in_one_line_and_in_the_report(run, blurred, tmp_path, kernel, fits):
    report = tmp_path / "report.json"
    words = ("deblur", blurred, "--kernel", kernel, "--noise", "0.01", "--json", report, "--quiet")
    code, _, err = run(*words, "-o", tmp_path / "out.npy")
    (image,) = json.loads(report.read_text())["images"]
    assert code == 0
    assert (image["residual_peak"] < LARGEST_FITTING_PEAK) is fits
    if fits:
        assert (err, "warnings" in image) == ("", False)
    else:
        assert err == f"warning: photo.npy: {image['warnings'][0]}\n"
        assert "the kernel does not fit the image" in err


def test_a_photo_that_is_too_small_is_not_judged(run, photo, tmp_path):
    report = tmp_path / "report.json"
    words = ("deblur", photo, "--kernel", "disk:3", "--noise", "0.01", "--steps", "1", "--json", report)
    code, _, err = run(*words, "-o", tmp_path / "out.png")
    assert (code, err) == (0, "")
    assert "residual_peak" not in json.loads(report.read_text())["images"][0]


def test_a_kernel_that_is_a_little_off_is_refined(run, blurred, tmp_path):
    report = tmp_path / "report.json"
    words = (
        "deblur",
        blurred,
        "--kernel",
        "motion:9:32",
        "--refine-kernel",
        "--noise",
        "0.01",
        "--json",
        report,
    )
    code, out, _ = run(*words, "--steps", "1", "-o", tmp_path / "out.npy")
    (image,) = json.loads(report.read_text())["images"]
    assert code == 0
    assert image["kernel_turn"] == pytest.approx(-12, abs=6)
    assert image["kernel_scale"] == pytest.approx(1, abs=0.15)
    assert f"turned by {image['kernel_turn']:+.1f} degrees" in out
