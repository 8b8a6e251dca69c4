"""Alpha channels of every kind: opacity is kept, and colors are as bright as they are meant."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from gradprox import InputError
from gradprox.images import read_image, write_image

SHAPE = (13, 17)


def straight_and_alpha(channels):
    random = np.random.default_rng(0)
    colors = random.uniform(0, 1, (*SHAPE, channels))
    alpha = random.uniform(0.2, 1, SHAPE)
    alpha[0, :3] = 0
    return colors, alpha


def stored(values, kind):
    return values.astype(kind) if kind == "f4" else np.round(values * np.iinfo(kind).max).astype(kind)


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "color"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_associated_alpha_is_divided_out_at_every_depth(tmp_path, channels, kind):
    colors, alpha = straight_and_alpha(channels)
    values = stored(np.dstack([colors * alpha[..., None], alpha]), kind)
    tifffile.imwrite(
        tmp_path / "in.tif",
        values,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig="contig",
        extrasamples=["assocalpha"],
    )
    image = read_image(tmp_path / "in.tif")
    np.testing.assert_array_equal(image.alpha, values[..., -1])
    shown = np.where(alpha[..., None] > 0, colors, 0)
    rounding = {"u1": 0.04, "u2": 1e-4, "f4": 1e-6}[kind]
    np.testing.assert_allclose(image.pixels[0].permute(1, 2, 0), shown, rtol=0, atol=rounding)

    write_image(tmp_path / "out.tif", image)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert [int(kind) for kind in file.pages[0].extrasamples] == [2]
        np.testing.assert_array_equal(file.asarray()[..., -1], values[..., -1])
    again = read_image(tmp_path / "out.tif").pixels
    np.testing.assert_allclose(
        again, image.pixels, rtol=0, atol=0.51 / {"u1": 255, "u2": 65535, "f4": 1e6}[kind]
    )


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "color"])
def test_a_plane_of_unspecified_meaning_is_kept(tmp_path, kind, channels):
    values = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (*SHAPE, channels + 1), kind)
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(
        tmp_path / "in.tif",
        values,
        photometric=photometric,
        planarconfig="contig",
        extrasamples=["unspecified"],
    )
    write_image(tmp_path / "out.tif", read_image(tmp_path / "in.tif"))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), values)


def test_more_planes_are_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "in.tif", np.zeros((*SHAPE, 5), "u2"), photometric="rgb", planarconfig="contig"
    )
    with pytest.raises(InputError, match="5 samples per pixel"):
        read_image(tmp_path / "in.tif")


def test_inverted_gray_does_not_invert_alpha(tmp_path):
    values = np.random.default_rng(0).integers(0, 65535, (*SHAPE, 2), "u2")
    tifffile.imwrite(
        tmp_path / "in.tif",
        values,
        photometric="miniswhite",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    )
    image = read_image(tmp_path / "in.tif")
    np.testing.assert_array_equal(image.alpha, values[..., 1])
    np.testing.assert_allclose(image.pixels[0, 0], (65535 - values[..., 0]) / 65535, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_a_transparent_color_of_a_png_becomes_alpha(tmp_path, kind):
    values = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (*SHAPE, 3), kind)
    values[3, 4] = values[5, 6]
    content = imagecodecs.png_encode(values)
    key = b"".join(int(sample).to_bytes(2, "big") for sample in values[3, 4])
    import zlib

    body = b"tRNS" + key
    chunk = len(key).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    (tmp_path / "in.png").write_bytes(content[:33] + chunk + content[33:])
    image = read_image(tmp_path / "in.png")
    assert image.alpha is not None
    expected = np.full(SHAPE, np.iinfo(kind).max)
    expected[3, 4] = expected[5, 6] = 0
    np.testing.assert_array_equal(image.alpha, expected)


def test_alpha_is_said_to_be_lost(tmp_path):
    Image.fromarray(np.zeros((*SHAPE, 4), np.uint8)).save(tmp_path / "in.png")
    image = read_image(tmp_path / "in.png")
    for name in ("out.jpg", "out.bmp", "out.npy"):
        assert "alpha channel" in write_image(tmp_path / name, image)
    smaller = image.with_pixels(image.pixels[..., 1:, 1:])
    assert write_image(tmp_path / "out.png", smaller) == ("alpha channel (the size changed)",)
    assert write_image(tmp_path / "same.png", image) == ()
