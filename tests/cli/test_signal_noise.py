"""``denoise`` and ``deblur`` with noise that follows the signal: estimated, given, and left alone where in doubt."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from gradprox import example_image
from gradprox.physics import CircularBlur, gaussian_noise, poisson_noise, read_kernel

GAIN, READ = 1 / 40, 0.01


@pytest.fixture(scope="module")
def clean():
    """A small photo in two exposures, ``(1, 1, H, W)``."""
    photo = example_image(gray=True)[..., 60:188, 60:188]
    return torch.cat([0.2 * photo, photo], dim=-1)


@pytest.fixture
def store(tmp_path):
    def store(pixels):
        path = tmp_path / "raw.npy"
        np.save(path, pixels[0, 0].numpy())
        return path

    return store


@pytest.fixture
def denoise(run, tmp_path):
    """Denoise a file; return the image, its record, the settings and the printed text."""

    def denoise(path, *options):
        out, report = tmp_path / "out.npy", tmp_path / "report.json"
        arguments = ("--model", "gray-fast", "--overwrite", "--json", report, *options)
        code, said, errors = run("denoise", path, "-o", out, *arguments)
        assert (code, errors) == (0, "")
        content = json.loads(report.read_text())
        return torch.from_numpy(np.load(out)), content["images"][0], content["settings"], said

    return denoise


def noisy(clean):
    generator = torch.Generator().manual_seed(0)
    return poisson_noise(clean, GAIN, generator) + gaussian_noise(clean, READ, generator)


def psnr(x, clean):
    return -10 * math.log10(float((x - clean[0, 0]).square().mean()))


def test_gain_and_read_noise_are_estimated_printed_and_used(denoise, store, clean):
    path = store(noisy(clean))
    found, record, _, said = denoise(path)
    assert record["estimated_gain"] == pytest.approx(GAIN, rel=0.1)
    assert f"gain:{record['estimated_gain']:.3g},read:{record['estimated_read']:.3g}" in said
    again, *_ = denoise(path, "--noise", "auto")
    assert torch.equal(again, found)
    given, record, settings, said = denoise(path, "--noise", f"gain:{GAIN},read:{READ}")
    assert settings["noise"] == {"gain": GAIN, "read": READ}
    assert "estimated" not in said
    constant, *_ = denoise(path, "--noise", f"{math.sqrt(GAIN * float(clean.mean()) + READ**2)}")
    assert min(psnr(found, clean), psnr(given, clean)) > psnr(constant, clean) + 0.5


def test_constant_noise_stays_constant(denoise, store, clean):
    path = store(clean + gaussian_noise(clean, 0.05, torch.Generator().manual_seed(0)))
    _, record, _, said = denoise(path, "--noise", "auto")
    assert record["estimated_noise"] == pytest.approx(0.05, rel=0.1)
    assert "estimated_gain" not in record
    assert "noise estimated at" in said


def test_deblurring_weights_pixels_by_their_variances(run, store, clean, tmp_path):
    kernel = "gaussian:1.2"
    blurred = CircularBlur(read_kernel(kernel), clean.shape[-2:]).A(clean)
    path, out, report = store(noisy(blurred)), tmp_path / "sharp.npy", tmp_path / "report.json"

    def deblur(*options):
        arguments = (
            "--kernel",
            kernel,
            "--boundary",
            "circular",
            "--model",
            "gray-fast",
            "--overwrite",
            *options,
        )
        code, said, _ = run("deblur", path, "-o", out, "--json", report, *arguments)
        assert code == 0
        return torch.from_numpy(np.load(out)), json.loads(report.read_text()), said

    found, content, said = deblur()
    record = content["images"][0]
    assert record["estimated_gain"] == pytest.approx(GAIN, rel=0.1)
    assert "gain:" in said
    assert record["objective_increases"] == 0
    given, content, _ = deblur("--noise", f"gain:{GAIN},read:{READ}")
    assert content["settings"]["noise"] == {"gain": GAIN, "read": READ}
    level = math.sqrt(GAIN * float(blurred.mean()) + READ**2)
    constant, *_ = deblur("--noise", f"{level}")
    assert min(psnr(found, clean), psnr(given, clean)) > psnr(constant, clean) + 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("denoise", "--noise", "gain:0.1"), "write gain:G,read:R"),
        (("denoise", "--noise", "gain:0,read:0.1"), "gain must be positive"),
        (
            ("denoise", "--noise", "gain:0.1,read:0.1", "--uncertainty", "u.png"),
            "needs a constant noise level",
        ),
        (
            ("deblur", "--kernel", "disk:2", "--noise", "gain:0.1,read:0.1", "--solver", "fista"),
            "need --solver hqs or nmapg",
        ),
    ],
)
def test_wrong_options_are_told_in_one_line(run, photo, tmp_path, arguments, message):
    command, *options = arguments
    code, _, errors = run(command, photo, "-o", tmp_path / "out.png", *options)
    assert code == 1
    assert message in errors
    assert errors.count("\n") == 1
