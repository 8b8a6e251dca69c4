"""JPEG photos without --noise: the result is better than the photo, and the error of compression is printed."""

from __future__ import annotations

import json
import math

import pytest
import torch
from PIL import Image

from gradprox.images import EXAMPLE_IMAGE, read_gray
from gradprox.physics import blur_of_images, gaussian_noise, read_kernel

KERNEL = "gaussian:1.6"


@pytest.fixture
def sharp():
    """A sharp photo, ``(1, 1, H, W)``, of no whole number of blocks."""
    return read_gray(EXAMPLE_IMAGE)[..., 40:140, 60:166]


def store(path, photo, noise, quality):
    noisy = photo + gaussian_noise(photo, noise, torch.Generator().manual_seed(0))
    samples = (255 * noisy[0, 0]).round().clamp(0, 255).byte().numpy()
    Image.fromarray(samples).save(path, quality=quality)
    return path


def psnr(path, clean):
    return -10 * math.log10(float((read_gray(path) - clean).square().mean()))


@pytest.fixture
def blurred(sharp, tmp_path):
    """Store the blurred photo with noise of 2.55/255; return the file, and the sharp photo in its frame."""

    def blurred(quality):
        camera = blur_of_images("valid", read_kernel(KERNEL), tuple(sharp.shape[-2:]), 1)
        return store(tmp_path / "photo.jpg", camera.A(sharp), 0.01, quality), camera.visible(sharp)

    return blurred


@pytest.mark.parametrize("quality", [60, 85])
def test_deblurring_improves_a_jpeg_photo(run, blurred, tmp_path, quality):
    photo, clean = blurred(quality)
    out, report = tmp_path / "out.png", tmp_path / "report.json"
    code, said, errors = run("deblur", photo, "--kernel", KERNEL, "-o", out, "--json", report)
    assert (code, errors) == (0, "")
    assert psnr(out, clean) > psnr(photo, clean) + 1
    (record,) = json.loads(report.read_text())["images"]
    level, error = 255 * record["estimated_noise"], 255 * record["compression_error"]
    assert (
        f"noise estimated at {level:.2f}/255, including the error of JPEG compression, {error:.2f}/255"
        in said
    )
    assert error < level < 6


def test_denoising_finds_the_noise_that_compression_hides(run, sharp, tmp_path):
    photo = store(tmp_path / "photo.jpg", sharp, 25 / 255, 75)
    out, report = tmp_path / "out.png", tmp_path / "report.json"
    assert run("denoise", photo, "-o", out, "--json", report)[0] == 0
    (record,) = json.loads(report.read_text())["images"]
    assert 255 * record["estimated_noise"] == pytest.approx(25, rel=0.15)
    assert psnr(out, sharp) > psnr(photo, sharp) + 6


def test_a_given_level_is_used_with_a_warning_if_it_is_below_the_error_of_compression(run, blurred, tmp_path):
    photo, _ = blurred(60)
    common = (
        "deblur",
        photo,
        "--kernel",
        KERNEL,
        "--steps",
        1,
        "--overwrite",
        "--json",
        tmp_path / "report.json",
    )
    warning = "--noise 0.50/255 is below the error of JPEG compression, about 2.97/255: "
    outputs = []
    for noise, expected in (("0.5/255", warning), ("5/255", "")):
        code, said, errors = run(*common, "--noise", noise, "-o", tmp_path / "out.png")
        (record,) = json.loads((tmp_path / "report.json").read_text())["images"]
        assert code == 0
        assert "estimated" not in said
        warnings = record.get("warnings", [])
        assert any(warning.startswith(expected) for warning in warnings) if expected else warnings == []
        assert errors == "".join(f"warning: photo.jpg: {warning}\n" for warning in warnings)
        outputs.append(read_gray(tmp_path / "out.png"))
    assert not torch.equal(*outputs)


@pytest.mark.parametrize(("lossless", "warned"), [(False, True), (True, False)])
def test_losses_of_unknown_size_are_said(run, sharp, tmp_path, lossless, warned):
    samples = (255 * sharp[0, 0]).round().byte().numpy()
    Image.fromarray(samples).save(tmp_path / "photo.webp", lossless=lossless)
    code, _, errors = run(
        "denoise", tmp_path / "photo.webp", "--model", "gray-fast", "-o", tmp_path / "out.png", "-q"
    )
    assert code == 0
    assert ("warning: photo.webp: the file was compressed with losses of unknown size" in errors) == warned
