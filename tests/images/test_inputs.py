"""Formats, arrays and scales: read right, or refused with advice."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from gradprox import InputError
from gradprox.images import ImageData, images_in, read_gray, read_image, write_image


def values(kind=np.uint8, channels=3):
    size = (9, 11) if channels == 1 else (9, 11, channels)
    return np.random.default_rng(0).integers(0, 255, size, dtype=kind)


@pytest.mark.parametrize("suffix", [".gif", ".ppm", ".jp2", ".qoi", ".avif"])
def test_formats_that_pillow_reads_are_read(tmp_path, suffix):
    Image.fromarray(values() // 128 * 128).save(tmp_path / f"in{suffix}", lossless=True)
    with Image.open(tmp_path / f"in{suffix}") as image:
        expected = np.asarray(image.convert("RGB"))
    pixels = read_image(tmp_path / f"in{suffix}").pixels
    np.testing.assert_allclose(pixels[0].permute(1, 2, 0), expected / 255, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="is read, not written; choose one of"):
        write_image(tmp_path / f"out{suffix}", ImageData(pixels))


@pytest.mark.parametrize(
    ("name", "advice"), [("moving.gif", "animation"), ("moving.webp", "animation"), ("pages.tif", "pages")]
)
def test_several_images_in_a_file_are_refused_with_advice(tmp_path, name, advice):
    frames = [Image.fromarray(values(channels=1) // (1 + i)) for i in range(3)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=rf"contains 3 images \(.*{advice}\): save the one that you need"):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a file of the format EPS"),
        (b'<?xml version="1.0"?><svg/>', "an SVG drawing"),
        (b"8BPS\0\1" + bytes(30), "a file of the format PSD"),
        (b"\xff\x0a" + bytes(30), "a JPEG XL image"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path, content, name):
    (tmp_path / "in.jpg").write_bytes(content)
    with pytest.raises(InputError, match=f"{name}, which is not read: convert it to PNG or TIFF"):
        read_image(tmp_path / "in.jpg")


def test_heic_photos_are_refused_with_the_name_of_their_plugin(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (tmp_path / "in.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    with pytest.raises(InputError, match=r"a HEIC photo, which is not read: .* pip install pillow-heif"):
        read_image(tmp_path / "in.heic")


@pytest.mark.parametrize("quality", [-1, 90])
def test_heic_photos_are_read_where_the_plugin_is(tmp_path, quality):
    plugin = pytest.importorskip("pillow_heif", reason="the extra heif")
    plugin.register_heif_opener()
    flat = np.full((32, 48, 3), (200, 100, 50), np.uint8)
    Image.fromarray(flat).save(tmp_path / "in.heic", quality=quality)
    image = read_image(tmp_path / "in.heic")
    assert image.bit_depth == 8
    assert np.abs(255 * image.pixels[0].permute(1, 2, 0).numpy() - flat).max() < 4


def test_deep_samples_that_pillow_would_round_are_refused(tmp_path):
    (tmp_path / "in.ppm").write_bytes(b"P6\n# a comment\n2 2\n65535\n" + bytes(24))
    (tmp_path / "gray.pgm").write_bytes(b"P5 2 2 65535\n" + bytes(8))
    Image.fromarray(values(np.uint16, 1)).save(tmp_path / "in.jp2")
    for name in ("in.ppm", "gray.pgm", "in.jp2"):
        with pytest.raises(InputError, match="more than 8 bits per sample"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((9, 11, 2), "without alpha"),
        ((9, 11, 4), "without alpha"),
        ((3, 9, 11), "moveaxis"),
        ((1, 9, 11), "moveaxis"),
        ((2, 9, 11, 3), "one image per file"),
        ((11,), "one image per file"),
        ((0, 11), "expected"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_of_other_shapes_are_refused(tmp_path, shape, advice, suffix):
    (np.save if suffix == ".npy" else np.savez)(tmp_path / f"in{suffix}", np.zeros(shape))
    with pytest.raises(InputError, match=advice):
        read_image(tmp_path / f"in{suffix}")


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 1), (9, 11, 3)])
def test_arrays_of_images_are_read(tmp_path, shape):
    np.save(tmp_path / "in.npy", np.ones(shape, np.float16))
    assert read_image(tmp_path / "in.npy").pixels.shape[-2:] == (9, 11)


@pytest.mark.parametrize("value", [-1e300, 1e300, 3.5e38, float("nan"), float("-inf")])
def test_values_must_be_finite_in_single_precision(tmp_path, value):
    pixels = np.full((9, 11), 0.5)
    pixels[3, 4] = value
    np.save(tmp_path / "in.npy", pixels)
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack")
    for name in ("in.npy", "in.tif"):
        with pytest.raises(InputError, match="NaN or infinite values, or values beyond"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="not written"):
        write_image(tmp_path / "out.npy", ImageData(torch.from_numpy(pixels)[None, None], 32))


def test_digits_beyond_single_precision_are_said_to_be_lost(tmp_path):
    np.save(tmp_path / "in.npy", np.full((9, 11), 0.1))
    np.save(tmp_path / "exact.npy", np.full((9, 11), 0.5))
    assert write_image(tmp_path / "out.npy", read_image(tmp_path / "in.npy")) == (
        "digits beyond single precision",
    )
    assert write_image(tmp_path / "out.npy", read_image(tmp_path / "exact.npy")) == ()


@pytest.mark.parametrize("value", [255.0, -255.0, 21.0, float("nan"), float("inf"), -1e300])
def test_values_out_of_scale_are_refused(value):
    from gradprox.images import check_scale

    pixels = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64)
    check_scale(pixels, "a.npy")
    pixels[0, 1, 2, 3] = value
    with pytest.raises(
        InputError, match=r"^a\.npy: values reach .*, but black is 0 and white is 1: divide them"
    ):
        check_scale(pixels, "a.npy")


def test_highlights_and_noise_are_in_scale():
    from gradprox.images import check_scale

    check_scale(torch.tensor([-5.0, 0.0, 1.0, 19.0]), "a.npy")


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_gray_keeps_the_depth_of_colors(tmp_path, kind):
    colors = np.random.default_rng(0).uniform(0, 1, (9, 11, 3))
    stored = colors.astype("f4") if kind == "f4" else np.round(colors * 65535).astype("u2")
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb")
    luma = colors @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read_gray(tmp_path / "in.tif")[0, 0], luma, rtol=0, atol=2e-5)


def test_a_folder_has_images_of_every_format_that_is_read(tmp_path):
    for name in ("a.png", "b.gif", "c.pgm", "d.npy", "e.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in images_in(tmp_path)] == ["a.png", "b.gif", "c.pgm"]
    with pytest.raises(InputError, match="no images in it"):
        images_in(_empty(tmp_path))


def _empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


@pytest.mark.parametrize(
    "pixels", [np.zeros((9, 11)), torch.zeros(1, 9, 11), torch.zeros(2, 1, 9, 11), [0.0]]
)
def test_pixels_are_those_of_one_image(pixels):
    with pytest.raises(InputError, match=r"one image are \(1, C, H, W\), got"):
        ImageData(pixels)


def test_a_tensor_is_written_as_image_data(tmp_path):
    with pytest.raises(InputError, match=r"out.png: expected an ImageData, .* got Tensor"):
        write_image(tmp_path / "out.png", torch.zeros(1, 1, 9, 11))
    with pytest.raises(InputError, match="is a folder, not an image"):
        read_image(tmp_path)
