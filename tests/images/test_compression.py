"""A restored image is not compressed harder than its source: chroma subsampling, quality, losslessness."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin

from gradprox.images import ImageData, read_image, write_image
from gradprox.images.encoding import webp_encoding

SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def stripes():
    """Return columns of red and blue, which subsampling turns purple."""
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, ::2, 0] = image[:, 1::2, 2] = 255
    return Image.fromarray(image)


def error(path, reference):
    with Image.open(path) as image:
        return np.abs(np.asarray(image.convert("RGB"), float) - np.asarray(reference, float)).mean()


@pytest.mark.parametrize("name", SUBSAMPLINGS)
def test_a_jpeg_keeps_its_subsampling(tmp_path, name):
    stripes().save(tmp_path / "in.jpg", subsampling=name, quality=90)
    write_image(tmp_path / "out.jpg", read_image(tmp_path / "in.jpg"))
    with Image.open(tmp_path / "out.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == SUBSAMPLINGS[name]


@pytest.mark.parametrize("source", ["in.jpg", "in.png", "in.webp", None])
@pytest.mark.parametrize("target", ["out.jpg", "out.webp"])
def test_full_colors_are_not_subsampled(tmp_path, source, target):
    image = ImageData(read_image(_saved(tmp_path, "any.png")).pixels)
    if source is not None:
        image = read_image(_saved(tmp_path, source, quality=95, subsampling=0, lossless=True))
    write_image(tmp_path / target, image)
    assert error(tmp_path / target, stripes()) < 4


def _saved(folder, name, **options):
    stripes().save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("quality", [30, 80, 98, 100])
def test_a_jpeg_is_quantized_no_more_coarsely_than_its_source(tmp_path, quality):
    stripes().save(tmp_path / "in.jpg", quality=quality, progressive=quality == 80)
    write_image(tmp_path / "out.jpg", read_image(tmp_path / "in.jpg"))
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        for number, steps in before.quantization.items():
            assert all(a <= b for a, b in zip(after.quantization[number], steps, strict=True))
        assert ("progressive" in after.info) == ("progressive" in before.info)


def test_gray_jpegs_and_tables_per_component(tmp_path):
    luma, blue, red = ([step] * 64 for step in (2, 1, 9))
    stripes().save(tmp_path / "in.jpg", qtables=[luma, blue, red], subsampling=0)
    write_image(tmp_path / "out.jpg", read_image(tmp_path / "in.jpg"))
    stripes().convert("L").save(tmp_path / "gray.jpg", quality=99)
    write_image(tmp_path / "gray-out.jpg", read_image(tmp_path / "gray.jpg"))
    with Image.open(tmp_path / "out.jpg") as image:
        assert max(image.quantization[0]) <= 2
        assert max(image.quantization[1]) == 1
    with Image.open(tmp_path / "gray-out.jpg") as image:
        assert image.mode == "L"
        assert max(image.quantization[0]) <= 3


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("labeled", [True, False], ids=["extended", "simple"])
def test_a_webp_stays_lossless_or_lossy(tmp_path, lossless, labeled):
    exif = Image.Exif()
    exif[271] = "Camera"
    options = {"exif": exif} if labeled else {}
    stripes().save(tmp_path / "in.webp", lossless=lossless, quality=90, **options)
    write_image(tmp_path / "out.webp", read_image(tmp_path / "in.webp"))
    with (tmp_path / "out.webp").open("rb") as stream:
        assert webp_encoding(stream).lossy is not lossless
    if lossless:
        assert error(tmp_path / "out.webp", stripes()) == 0


def test_colors_below_transparency_survive_webp(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (8, 9, 4), np.uint8)
    values[..., 3] = 255 * (values[..., 3] > 128)
    Image.fromarray(values).save(tmp_path / "in.png")
    write_image(tmp_path / "out.webp", read_image(tmp_path / "in.png"))
    with Image.open(tmp_path / "out.webp") as image:
        np.testing.assert_array_equal(np.asarray(image), values)


def test_a_lossless_source_gives_a_lossless_webp(tmp_path):
    _saved(tmp_path, "in.png")
    write_image(tmp_path / "out.webp", read_image(tmp_path / "in.png"))
    assert error(tmp_path / "out.webp", stripes()) == 0


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ("source", "written"),
    [(None, "ADOBE_DEFLATE"), ("lzw", "LZW"), ("packbits", "PACKBITS"), ("adobe_deflate", "ADOBE_DEFLATE")],
)
def test_tiff_files_are_compressed_without_losses(tmp_path, kind, source, written):
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    pixels = ramp if kind == np.float32 else (ramp * np.iinfo(kind).max).astype(kind)
    tifffile.imwrite(tmp_path / "in.tif", pixels, compression=source)
    write_image(tmp_path / "out.tif", read_image(tmp_path / "in.tif"))
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].compression.name == written
        np.testing.assert_array_equal(file.pages[0].asarray(), pixels)
    if kind != np.float32:
        with Image.open(tmp_path / "out.tif") as image:
            np.testing.assert_array_equal(np.asarray(image), pixels)
