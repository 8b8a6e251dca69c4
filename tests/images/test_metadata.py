"""Chunks, tags and segments that Pillow has no place for: kept byte by byte, or named."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from gradprox.images import read_image, write_image

COLOR = {
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
    b"sRGB": b"\0",
    b"cICP": bytes([9, 16, 0, 1]),
    b"mDCV": bytes(24),
    b"cLLI": bytes(8),
    b"pHYs": struct.pack(">IIB", 3, 2, 0),  # an aspect ratio
    b"abCd": b"private, safe to copy"[:8],
}


def chunk(kind, content):
    body = kind + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def write_png(path, chunks, kind="u1", channels=3):
    size = (9, 11) if channels == 1 else (9, 11, channels)
    values = np.random.default_rng(0).integers(0, np.iinfo(kind).max, size, kind)
    content = imagecodecs.png_encode(values)
    path.write_bytes(content[:33] + b"".join(chunks) + content[33:])


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", COLOR)
def test_color_chunks_of_a_png_are_kept(tmp_path, name, channels, kind):
    stored = chunk(name, COLOR[name])
    write_png(tmp_path / "in.png", [stored], kind, channels)
    assert write_image(tmp_path / "out.png", read_image(tmp_path / "in.png")) == ()
    content = (tmp_path / "out.png").read_bytes()
    assert content.count(stored) == 1
    assert content.index(stored) < content.index(b"IDAT")
    with Image.open(tmp_path / "out.png") as image:
        image.load()


def test_other_formats_say_that_they_drop_them(tmp_path):
    write_png(tmp_path / "in.png", [chunk(name, COLOR[name]) for name in (b"gAMA", b"cICP")])
    image = read_image(tmp_path / "in.png")
    for suffix in (".jpg", ".webp", ".tif", ".bmp", ".npy"):
        lost = write_image(tmp_path / f"out{suffix}", image)
        assert {"PNG chunk gAMA", "PNG chunk cICP"} <= set(lost), suffix


def test_other_chunks_are_dropped_and_said(tmp_path):
    write_png(tmp_path / "in.png", [chunk(b"tIME", bytes(7)), chunk(b"abCD", b"unsafe")])
    lost = write_image(tmp_path / "out.png", read_image(tmp_path / "in.png"))
    assert set(lost) == {"PNG chunk tIME", "PNG chunk abCD"}


def test_tiff_tags_that_are_not_carried_over_are_said(tmp_path):
    for kind in ("u1", "u2"):
        geography = [(33550, "d", 3, (1.0, 1.0, 0.0), True)]
        tifffile.imwrite(
            tmp_path / "in.tif",
            np.zeros((8, 9, 3), kind),
            photometric="rgb",
            extratags=geography,
            metadata=None,
        )
        assert write_image(tmp_path / "out.tif", read_image(tmp_path / "in.tif")) == ("TIFF tag 33550",)


def test_a_jpeg_keeps_its_comment_and_names_other_segments(tmp_path):
    other = b"\xff\xed" + struct.pack(">H", 2 + 16) + b"Photoshop 3.0\0ab"
    Image.new("RGB", (8, 8)).save(tmp_path / "in.jpg", comment=b"a word", extra=other)
    image = read_image(tmp_path / "in.jpg")
    assert write_image(tmp_path / "out.jpg", image) == ("JPEG segment APP13",)
    with Image.open(tmp_path / "out.jpg") as again:
        assert again.info["comment"] == b"a word"
    assert write_image(tmp_path / "out.png", image) == ("JPEG segment APP13", "comment")


def test_a_gray_profile_does_not_go_into_a_webp_of_colors(tmp_path):
    profile = bytearray(128)
    profile[16:20] = b"GRAY"
    Image.new("L", (8, 8)).save(tmp_path / "in.png", icc_profile=bytes(profile))
    image = read_image(tmp_path / "in.png")
    assert write_image(tmp_path / "out.webp", image) == ("color profile",)
    assert write_image(tmp_path / "out.png", image) == ()


def test_converted_colors_are_said(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "in.jpg")
    assert write_image(tmp_path / "out.jpg", read_image(tmp_path / "in.jpg")) == (
        "CMYK colors (converted to RGB)",
    )
