"""Photos of a camera are recognized by their exposure, and images of all other kinds are not."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from gradprox.images import ImageData, open_stack, read_image, write_image
from gradprox.images.camera import has_srgb_curve, is_camera_photo
from gradprox.images.metadata import Metadata

TIME, NUMBER = int(ExifTags.Base.ExposureTime), int(ExifTags.Base.FNumber)
VALUES = np.random.default_rng(0).integers(0, 256, (16, 18, 3), np.uint8)


def exif_of(exposure, **first):
    """Return Exif with tags of the exposure, and further ones of the first directory by name."""
    exif = Image.Exif()
    for name, value in first.items():
        exif[int(ExifTags.Base[name])] = value
    exif.get_ifd(ExifTags.IFD.Exif).update(exposure)
    loaded = Image.Exif()
    loaded.load(exif.tobytes())  # Pillow writes no other directories to TIFF files
    return loaded


def profile_of(*parameters):
    """Return the profile of sRGB with another curve: a parametric one of type 3 (ICC.1:2022, 10.18)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0)
    assert profile.count(curve) >= 1
    start = profile.index(curve) + len(curve)
    values = struct.pack(">5i", *(round(65536 * value) for value in parameters))
    return profile[:start] + values + profile[start + len(values) :]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_photos_of_every_format_are_recognized(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    for exposure in ({TIME: 0.01}, {NUMBER: 2.8}, {TIME: 1 / 30, NUMBER: 0.0}):
        Image.fromarray(VALUES).save(path, exif=exif_of(exposure, Model="Camera"))
        assert is_camera_photo(read_image(path))


def test_photos_of_16_bits_are_recognized_and_floating_point_is_not(tmp_path):
    exif = exif_of({TIME: 0.01})
    for values, recognized in (
        (VALUES[..., 0].astype(np.uint16) * 257, True),
        (VALUES[..., 0] / np.float32(255), False),
    ):
        path = tmp_path / f"{values.dtype}.tif"
        Image.fromarray(values).save(path, exif=exif)
        assert is_camera_photo(read_image(path)) is recognized
        (page,) = open_stack(path).images()
        assert is_camera_photo(page) is recognized
    write_image(
        tmp_path / "deep.png",
        ImageData(VALUES[None, None, ..., 0] / np.float32(255), 16, None, Metadata(exif=exif.tobytes())),
    )
    assert imagecodecs.png_decode((tmp_path / "deep.png").read_bytes()).dtype == np.uint16
    assert is_camera_photo(read_image(tmp_path / "deep.png"))


@pytest.mark.parametrize(
    "exif",
    [
        None,
        exif_of({}, Make="Maker", Model="Scanner"),
        exif_of({TIME: 0.0, NUMBER: 0.0}, Model="Camera"),
        exif_of({int(ExifTags.Base.UserComment): b"ASCII\0\0\0Screenshot"}, Software="17.0"),
        exif_of({TIME: 0.01}).tobytes()[:-6],
    ],
    ids=["none", "scanner", "zero", "screenshot", "damaged"],
)
def test_other_images_are_not_photos_of_a_camera(tmp_path, exif):
    path = tmp_path / "image.jpg"
    Image.fromarray(VALUES).save(path, **({} if exif is None else {"exif": exif}))
    assert not is_camera_photo(read_image(path))


def test_arrays_are_not_photos_of_a_camera(tmp_path):
    np.save(tmp_path / "array.npy", VALUES[..., 0] / np.float32(255))
    assert not is_camera_photo(read_image(tmp_path / "array.npy"))


@pytest.mark.parametrize(
    ("profile", "recognized"),
    [
        (profile_of(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045), True),
        (profile_of(2.2, 1, 0, 0, 0), True),
        (profile_of(1.8, 1, 0, 0, 0), False),
        (profile_of(1, 1, 0, 1, 0), False),
        (b"no profile", False),
    ],
    ids=["sRGB", "Adobe RGB", "1.8", "linear", "damaged"],
)
def test_the_curve_of_a_profile_must_be_about_that_of_srgb(tmp_path, profile, recognized):
    assert has_srgb_curve(profile, 3) is recognized
    path = tmp_path / "photo.jpg"
    Image.fromarray(VALUES).save(path, exif=exif_of({TIME: 0.01}), icc_profile=profile)
    assert is_camera_photo(read_image(path)) is recognized


def test_restored_photos_are_still_photos_of_a_camera(tmp_path):
    Image.fromarray(VALUES).save(tmp_path / "photo.jpg", exif=exif_of({TIME: 0.01}))
    for suffix in (".png", ".jpg", ".webp"):
        write_image(tmp_path / f"again{suffix}", read_image(tmp_path / "photo.jpg"))
        assert is_camera_photo(read_image(tmp_path / f"again{suffix}"))
