"""Photos of a camera are deblurred in linear light, other images as stored, and options decide otherwise."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from gradprox.cli.deblur import Deblurring
from gradprox.cli.linear_light import light_in_words
from gradprox.images import EXAMPLE_IMAGE, read_gray, read_image
from gradprox.images.srgb import to_display, to_linear_light
from gradprox.physics import (
    LARGEST_FITTING_SCORE,
    blur_of_images,
    gaussian_noise,
    motion_kernel,
    poisson_noise,
    read_kernel,
)

BLUR = ("--kernel", "disk:1", "--steps", "1", "--model", "gray-small")
SAID, AS_STORED = "in linear light, because it is a photo of a camera", "because --noise is given"


@pytest.fixture
def files(tmp_path):
    """Write the same pixels as a photo of a camera, and without metadata."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.ExposureTime)] = 0.01
    with Image.open(EXAMPLE_IMAGE) as image:
        small = image.convert("L").crop((60, 60, 156, 156))
    small.save(tmp_path / "camera.jpg", exif=exif, quality=95)
    small.save(tmp_path / "other.jpg", quality=95)
    return tmp_path


def deblurred(run, folder, name, *options, target="out.png"):
    """Return the restored pixels, the figures and the printed line."""
    report = folder / "report.json"
    words = ("deblur", folder / name, *BLUR, *options, "-o", folder / target, "--json", report, "--overwrite")
    code, said, _ = run(*words)
    assert code == 0
    (found,) = json.loads(report.read_text())["images"]
    return read_image(folder / target).array, found, said


def test_deblur_takes_photos_of_a_camera_as_light_and_other_images_as_stored(run, files):
    chosen, figures, said = deblurred(run, files, "camera.jpg")
    assert (figures["linear_light"], figures["linear_light_reason"]) == (True, "camera photo")
    assert SAID in said
    assert "--no-linear-light" in said
    light, figures, said = deblurred(run, files, "camera.jpg", "--linear-light")
    assert (figures["linear_light_reason"], SAID in said) == ("option", False)
    np.testing.assert_array_equal(chosen, light)
    stored, figures, said = deblurred(run, files, "other.jpg")
    assert (figures["linear_light"], figures["linear_light_reason"]) == (False, "not a camera photo")
    assert SAID not in said
    assert np.abs(stored - light).max() > 0.01


def test_the_option_decides_for_both(run, files):
    for name in ("camera.jpg", "other.jpg"):
        light, figures, _ = deblurred(run, files, name, "--linear-light")
        assert figures["linear_light"]
        stored, figures, said = deblurred(run, files, name, "--no-linear-light")
        assert not figures["linear_light"]
        assert SAID not in said
        assert np.abs(stored - light).max() > 0.01


def test_a_given_noise_level_is_that_of_stored_values_unless_the_option_says_otherwise(run, files):
    for level in ("0.01", "gain:0.001,read:0.005"):
        stored, figures, said = deblurred(run, files, "camera.jpg", "--noise", level)
        assert (figures["linear_light"], figures["linear_light_reason"]) == (False, "noise given")
        assert AS_STORED in said
        same, *_ = deblurred(run, files, "camera.jpg", "--noise", level, "--no-linear-light")
        np.testing.assert_array_equal(stored, same)
    _, figures, said = deblurred(run, files, "camera.jpg", "--noise", "0.01", "--linear-light")
    assert figures["linear_light"]
    assert AS_STORED not in said
    _, figures, _ = deblurred(run, files, "camera.jpg", "--noise", "auto")
    assert figures["linear_light"]


def test_maps_of_uncertainty_are_those_of_the_written_values(run, files):
    with Image.open(files / "camera.jpg") as image:
        image.crop((0, 0, 24, 24)).save(files / "camera.jpg", exif=image.getexif(), quality=95)
    maps = {}
    for number, options in enumerate(((), ("--linear-light",), ("--no-linear-light",))):
        target = files / f"{number}.npy"
        deblurred(run, files, "camera.jpg", *options, "--uncertainty", target, target=f"{number}.png")
        maps[number] = np.load(target)
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 1e-4


def test_kernels_are_estimated_in_the_same_light(run, files):
    report, found = files / "report.json", {}
    for name, options in (
        ("camera.jpg", ()),
        ("camera.jpg", ("--no-linear-light",)),
        ("other.jpg", ()),
        ("other.jpg", ("--linear-light",)),
    ):
        words = ("estimate-kernel", files / name, "--family", "gaussian", *options, "--json", report)
        code, said, _ = run(*words, "-o", files / "kernel.npy", "--overwrite")
        assert code == 0
        (figures,) = json.loads(report.read_text())["images"]
        found[name, options] = figures["linear_light"], figures["parameters"]
        assert (SAID in said) is (figures["linear_light_reason"] == "camera photo")
    assert found["camera.jpg", ()] == found["other.jpg", ("--linear-light",)]
    assert found["camera.jpg", ("--no-linear-light",)] == found["other.jpg", ()]
    assert found["camera.jpg", ()][0]
    assert not found["other.jpg", ()][0]


def test_the_images_of_a_stack_are_told_once():
    camera, other = ({"linear_light_reason": reason} for reason in ("camera photo", "not a camera photo"))
    assert light_in_words(other) == light_in_words({}) == []
    (said,) = light_in_words({"images": [camera, {"channels": [camera, camera, other]}, other]})
    assert SAID in said


@pytest.mark.parametrize("quality", [None, 90])
def test_a_wrong_kernel_shows_in_linear_light(tmp_path, quality):
    """The sharp photo fits its blurred light with the true kernel, and does not with another one."""
    true, wrong = motion_kernel(9, 20), motion_kernel(9, 40)
    light = to_linear_light(read_gray(EXAMPLE_IMAGE)[..., 40:200, 40:200])
    seen = blur_of_images("valid", true, (160, 160), 1).A(light)
    generator = torch.Generator().manual_seed(0)
    seen = poisson_noise(seen, 2e-4, generator)
    seen = seen + gaussian_noise(seen, 1e-3, generator)
    stored = (255 * to_display(seen)[0, 0]).round().clamp(0, 255).byte().numpy()
    path = tmp_path / ("photo.png" if quality is None else "photo.jpg")
    Image.fromarray(stored).save(path, **({} if quality is None else {"quality": quality}))
    image, job = read_image(path), Deblurring(kernel="")
    fits = job.kernel_fit(image, true, light, 0.01, light=True)
    assert "warnings" not in fits
    assert fits["wrong_kernel_score"] < LARGEST_FITTING_SCORE
    (warning,) = job.kernel_fit(image, wrong, light, 0.01, light=True)["warnings"]
    assert "--no-linear-light" in warning
    # Of another blur than the stored values say, the residual is not noise either.
    assert "warnings" in job.kernel_fit(image, read_kernel("disk:4"), light, 0.01, light=True)


@pytest.mark.parametrize(("name", "advised"), [("camera.jpg", True), ("other.jpg", False)])
def test_a_photo_without_a_clear_kernel_may_have_been_edited(run, files, name, advised):
    """Both files are flat, so that no kernel explains them."""
    flat = Image.new("L", (72, 64), 90)
    with Image.open(files / name) as image:
        exif = image.getexif()
    flat.save(files / name, exif=exif, quality=95)
    options = ("--kernel", "auto:disk:9", "-o", files / "o.png", "--model", "gray-small", "--steps", "1")
    code, _, said = run("deblur", files / name, *options)
    assert code == 1
    assert "no blur kernel explains the photo" in said
    assert ("--no-linear-light if the photo was edited" in said) == advised
