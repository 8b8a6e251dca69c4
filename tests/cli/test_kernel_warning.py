"""`gradprox deblur` says in one line that a kernel does not fit, and says nothing where it fits or cannot know."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gradprox.cli.deblur import Deblurring
from gradprox.cli.tuning import Tuning
from gradprox.images import EXAMPLE_IMAGE, read_gray, read_image
from gradprox.images.noise_estimation import compression_error, estimate_image_noise
from gradprox.physics import LARGEST_FITTING_SCORE, blur_of_images, gaussian_noise, motion_kernel

TRUE, WRONG = motion_kernel(9, 20), motion_kernel(9, 40)
NOISE = 0.01


@pytest.fixture(scope="module")
def sharp():
    """Return a photo ``(1, 1, H, W)`` of 160x160 pixels."""
    return read_gray(EXAMPLE_IMAGE)[..., 40:200, 40:200]


@pytest.fixture
def blurred(sharp, tmp_path):
    """Return a function that stores the photo, blurred by ``motion:9:20``, in a file, and returns the file."""

    def blurred(name="photo.npy", exposure=1.0, side=160, **settings):
        y = blur_of_images("valid", TRUE, (side, side), 1).A(exposure * sharp[..., :side, :side])
        y = y + gaussian_noise(y, NOISE, torch.Generator().manual_seed(0))
        if name.endswith(".npy"):
            np.save(tmp_path / name, y[0, 0].numpy())
        else:
            samples = (255 * y[0, 0]).round().clamp(0, 255).byte().numpy()
            Image.fromarray(samples).save(tmp_path / name, **settings)
        return tmp_path / name

    return blurred


def judged(path, kernel, x, noise=NOISE, *, light=False, given=None, **settings):
    """Return the test of a kernel, given the restored image."""
    job = Deblurring(kernel="", noise=given, **settings)
    return job.kernel_fit(read_image(path), kernel, x, noise, light=light)


@pytest.mark.parametrize(("kernel", "fits"), [("motion:9:20", True), ("motion:9:40", False)])
def test_a_wrong_kernel_is_told_in_one_line_and_in_the_report(run, blurred, tmp_path, kernel, fits):
    report = tmp_path / "report.json"
    words = ("deblur", blurred(side=112), "--kernel", kernel, "--noise", NOISE, "--json", report, "--quiet")
    code, _, err = run(*words, "--model", "gray-fast", "-o", tmp_path / "out.npy")
    (image,) = json.loads(report.read_text())["images"]
    assert code == 0
    assert (image["wrong_kernel_score"] < LARGEST_FITTING_SCORE) is fits
    if fits:
        assert (err, "warnings" in image) == ("", False)
    else:
        assert err == f"warning: photo.npy: {image['warnings'][0]}\n"
        assert "the kernel does not fit the image" in err


def test_warnings_of_noise_and_kernel_are_listed_together(run, blurred, tmp_path):
    report = tmp_path / "report.json"
    photo = blurred("photo.jpg", side=112, quality=60)
    words = ("deblur", photo, "--kernel", "gaussian:4", "--noise", "0.5/255", "--json", report, "--quiet")
    code, _, err = run(*words, "--model", "gray-fast", "-o", tmp_path / "out.png")
    (image,) = json.loads(report.read_text())["images"]
    assert code == 0
    assert ["JPEG" in warning for warning in image["warnings"]] == [True, False]
    assert "the kernel does not fit the image" in image["warnings"][1]
    assert err == "".join(f"warning: photo.jpg: {warning}\n" for warning in image["warnings"])


@pytest.mark.parametrize("quality", [75, 85, 95])
def test_the_error_of_jpeg_compression_is_no_sign_of_a_wrong_kernel(blurred, sharp, quality):
    photo = blurred("photo.jpg", quality=quality)
    noise = estimate_image_noise(read_image(photo)).level
    assert "warnings" not in judged(photo, TRUE, sharp, noise)
    assert "warnings" in judged(photo, WRONG, sharp, noise)


def test_the_error_of_jpeg_compression_counts_as_noise_if_a_smaller_level_is_given(blurred, sharp):
    photo = blurred("photo.jpg", quality=60)
    error = compression_error(read_image(photo))
    assert error > 2 / 255
    assert judged(photo, TRUE, sharp, 0.5 / 255) == judged(photo, TRUE, sharp, error)


@pytest.mark.parametrize(
    ("name", "file", "settings"),
    [
        ("photo.png", {}, {"tuning": Tuning(strength="2")}),
        ("photo.png", {}, {"tuning": Tuning(strength="auto")}),
        ("photo.png", {}, {"given": NOISE, "light": True}),
        ("photo.webp", {"quality": 80}, {}),
        ("photo.png", {"exposure": 1.6}, {}),
    ],
    ids=["strong", "auto", "light", "webp", "clipped"],
)
def test_kernels_are_not_judged_where_the_test_does_not_apply(blurred, sharp, name, file, settings):
    assert "warnings" in judged(blurred("photo.png"), WRONG, sharp)
    assert judged(blurred(name, **file), WRONG, sharp, **settings) == {}


def test_the_warning_does_not_advise_a_refinement_that_was_made(blurred, sharp):
    for refined in (False, True):
        (warning,) = judged(blurred(), WRONG, sharp, refine_kernel=refined)["warnings"]
        assert ("--refine-kernel" in warning) is not refined


def test_a_photo_that_is_too_small_is_not_judged(run, photo, tmp_path):
    report = tmp_path / "report.json"
    words = ("deblur", photo, "--kernel", "disk:3", "--noise", "0.01", "--steps", "1", "--json", report)
    code, _, err = run(*words, "-o", tmp_path / "out.png")
    assert (code, err) == (0, "")
    assert "wrong_kernel_score" not in json.loads(report.read_text())["images"][0]


def test_a_kernel_that_is_a_little_off_is_refined(run, blurred, tmp_path):
    report = tmp_path / "report.json"
    words = (
        "deblur",
        blurred(),
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
