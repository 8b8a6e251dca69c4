"""Images as they come: every depth, alpha channel, orientation and label survives reading and writing."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms

from gradprox import InputError
from gradprox.images import ImageData, images_in, read_gray, read_image, write_image
from gradprox.images.metadata import Metadata

SHAPE = (13, 17)
CHANNELS = {"gray": 1, "gray-alpha": 2, "color": 3, "color-alpha": 4}


def samples(channels, kind, shape=SHAPE):
    random = np.random.default_rng(0)
    size = shape if channels == 1 else (*shape, channels)
    if kind == "f4":
        return random.standard_normal(size).astype("f4")
    return random.integers(0, np.iinfo(kind).max, size, endpoint=True, dtype=kind)


def write_as_found(path, values):
    """Write a file as other programs do."""
    if path.suffix == ".tif" and values.dtype != np.uint8:
        color = values.ndim == 3 and values.shape[2] >= 3
        alpha = values.ndim == 3 and values.shape[2] in (2, 4)
        tifffile.imwrite(
            path,
            values,
            photometric="rgb" if color else "minisblack",
            planarconfig="contig" if values.ndim == 3 else None,
            extrasamples=["unassalpha"] if alpha else None,
        )
    elif path.suffix == ".png" and values.dtype == np.uint16:
        path.write_bytes(imagecodecs.png_encode(values))
    else:
        Image.fromarray(values).save(path, lossless=True)


def read_as_found(path):
    """Read a file as other programs do."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    if path.suffix == ".png":
        return imagecodecs.png_decode(path.read_bytes())
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
@pytest.mark.parametrize(
    ("suffix", "kind"), [(".png", "u1"), (".png", "u2"), (".tif", "u1"), (".tif", "u2"), (".tif", "f4")]
)
def test_every_sample_comes_back(tmp_path, channels, suffix, kind):
    values = samples(channels, kind)
    write_as_found(tmp_path / f"in{suffix}", values)
    image = read_image(tmp_path / f"in{suffix}")
    assert image.pixels.shape == (1, 3 if channels >= 3 else 1, *SHAPE)
    assert (image.alpha is not None) == (channels in (2, 4))
    assert image.bit_depth == {"u1": 8, "u2": 16, "f4": 32}[kind]
    write_image(tmp_path / f"out{suffix}", image)
    again = read_as_found(tmp_path / f"out{suffix}")
    assert again.dtype == values.dtype
    np.testing.assert_array_equal(again, values)
    unit = values.reshape(*SHAPE, -1)[..., : image.pixels.shape[1]] / {"u1": 255, "u2": 65535, "f4": 1}[kind]
    np.testing.assert_allclose(image.pixels[0].permute(1, 2, 0), unit, rtol=0, atol=1e-7)


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".jpg"])
def test_lossy_and_simple_formats(tmp_path, suffix):
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(flat).save(tmp_path / f"in{suffix}")
    image = read_image(tmp_path / f"in{suffix}")
    write_image(tmp_path / f"out{suffix}", image)
    assert np.abs(read_as_found(tmp_path / f"out{suffix}").astype(int) - flat).max() <= 3


def test_webp_keeps_alpha_and_jpeg_has_none(tmp_path):
    write_as_found(tmp_path / "in.webp", samples(4, "u1"))
    image = read_image(tmp_path / "in.webp")
    for name, mode in (("out.webp", "RGBA"), ("out.jpg", "RGB")):
        write_image(tmp_path / name, image)
        with Image.open(tmp_path / name) as written:
            assert written.mode == mode


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_are_taken_as_they_are(tmp_path, suffix):
    values = samples(3, "f4")
    (np.save if suffix == ".npy" else np.savez)(tmp_path / f"in{suffix}", values)
    image = read_image(tmp_path / f"in{suffix}")
    assert image.bit_depth == 32
    write_image(tmp_path / f"out{suffix}", image)
    again = np.load(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(again if suffix == ".npy" else again["image"], values)
    write_image(tmp_path / "out.png", image)
    np.testing.assert_allclose(
        read_as_found(tmp_path / "out.png"), 65535 * values.clip(0, 1), rtol=0, atol=0.51
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "kind"), [(".png", "u1"), (".png", "u2"), (".tif", "u1"), (".tif", "u2")])
def test_camera_orientation_is_applied_once(tmp_path, orientation, suffix, kind):
    values = samples(1, kind)
    reference, exif = Image.fromarray(values.astype(np.int32)), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if suffix == ".tif":
        tifffile.imwrite(
            tmp_path / "in.tif",
            values,
            photometric="minisblack",
            extratags=[(274, "H", 1, orientation, True)],
        )
    else:
        Image.fromarray(values).save(tmp_path / f"in{suffix}", exif=exif)
    turn = Image.Transpose
    method = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_270, 7: turn.TRANSVERSE, 8: turn.ROTATE_90,
    }  # fmt: skip
    upright = reference if orientation == 1 else reference.transpose(method[orientation])
    write_image(tmp_path / f"out{suffix}", read_image(tmp_path / f"in{suffix}"))
    np.testing.assert_array_equal(read_as_found(tmp_path / f"out{suffix}"), np.asarray(upright))
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1


def labeled(tmp_path, suffix):
    """Write a small color image with everything a camera and an editor put into it; return its path."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Copyright] = "A. Person"
    exif[ExifTags.Base.Orientation] = 6
    exif[int(ExifTags.IFD.Exif)] = {int(ExifTags.Base.ISOSpeedRatings): 400}
    exif[int(ExifTags.IFD.GPSInfo)] = {int(ExifTags.GPS.GPSAltitude): 12.5}
    options = {
        "exif": exif,
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "dpi": (300, 300),
    }
    if suffix != ".png":
        options["xmp"] = b'<x:xmpmeta tiff:Orientation="6"/>'
    if suffix == ".tif":
        tags = Image.Exif()
        tags.load(exif.tobytes())
        tags[700] = options.pop("xmp")
        options |= {"exif": tags}
    path = tmp_path / f"labeled{suffix}"
    Image.fromarray(samples(3, "u1")).save(path, **options)
    return path


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif", ".deep.png", ".deep.tif"])
def test_labels_are_carried_over(tmp_path, source, target):
    path = labeled(tmp_path, source)
    image = read_image(path)
    assert image.pixels.shape[-2:] == SHAPE[::-1]
    if target.startswith(".deep"):
        image = ImageData(image.pixels, 16, metadata=image.metadata)
    out = tmp_path / f"out{target}"
    write_image(out, image)
    with Image.open(path) as before, Image.open(out) as after:
        assert after.info["icc_profile"] == before.info["icc_profile"]
        exif = after.getexif()
        assert exif[ExifTags.Base.Make] == "Camera"
        assert exif[ExifTags.Base.Copyright] == "A. Person"
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        if target != ".deep.tif":
            assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
            assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAltitude] == 12.5
        if source != ".webp" and target != ".webp":
            assert after.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        if source != ".png":
            xmp = after.info["xmp"]
            xmp = xmp.encode() if isinstance(xmp, str) else xmp
            # Where Pillow turns the image itself, it takes the tag out.
            assert xmp in (b'<x:xmpmeta tiff:Orientation="1"/>', b"<x:xmpmeta />")


def test_exif_is_carried_over_byte_by_byte(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Copyright] = "A. Person"
    exif[int(ExifTags.IFD.Exif)] = {0x927C: b"secret offsets"}
    raw = exif.tobytes().replace(b"A. Person", "Ä Person".encode())  # beyond the standard, and common
    Image.fromarray(samples(1, "u1")).save(tmp_path / "in.jpg", exif=raw)
    write_image(tmp_path / "out.jpg", read_image(tmp_path / "in.jpg"))
    with Image.open(tmp_path / "out.jpg") as image:
        (changed,) = (
            i for i, pair in enumerate(zip(raw, image.info["exif"], strict=True)) if len(set(pair)) > 1
        )
        assert (raw[changed], image.info["exif"][changed]) == (6, 1)


def test_texts_of_a_png_are_carried_over(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Title", "Häuser")
    Image.fromarray(samples(1, "u1")).save(tmp_path / "in.png", pnginfo=texts)
    write_image(tmp_path / "out.png", read_image(tmp_path / "in.png"))
    with Image.open(tmp_path / "out.png") as image:
        assert image.text == {"Title": "Häuser"}


def test_a_profile_of_other_colors_is_left_out(tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"CMYK"
    Image.new("CMYK", (8, 8)).save(tmp_path / "in.jpg", icc_profile=bytes(profile))
    write_image(tmp_path / "out.jpg", read_image(tmp_path / "in.jpg"))
    with Image.open(tmp_path / "out.jpg") as image:
        assert "icc_profile" not in image.info
        assert image.mode == "RGB"


def test_labels_too_large_for_a_jpeg_are_left_out(tmp_path):
    metadata = Metadata(exif=bytes(70_000), xmp=bytes(70_000))
    write_image(tmp_path / "out.jpg", ImageData(torch.zeros(1, 1, 8, 8), metadata=metadata))
    assert read_image(tmp_path / "out.jpg").metadata.exif is None


def test_planar_inverted_and_compressed_tiff(tmp_path):
    color = samples(3, "u2")
    tifffile.imwrite(
        tmp_path / "planar.tif", np.moveaxis(color, -1, 0), photometric="rgb", planarconfig="separate"
    )
    tifffile.imwrite(tmp_path / "lzw.tif", color, photometric="rgb", compression="lzw", predictor=True)
    tifffile.imwrite(tmp_path / "big.tif", color, photometric="rgb", bigtiff=True, byteorder=">")
    for name in ("planar", "lzw", "big"):
        pixels = read_image(tmp_path / f"{name}.tif").pixels
        np.testing.assert_allclose(pixels[0].permute(1, 2, 0), color / 65535, rtol=0, atol=1e-7)
    gray = samples(1, "u2")
    tifffile.imwrite(tmp_path / "inverted.tif", gray, photometric="miniswhite")
    np.testing.assert_allclose(
        read_image(tmp_path / "inverted.tif").pixels[0, 0], (65535 - gray) / 65535, rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".npy", ".npz"])
def test_a_disk_full_for_the_last_byte_is_noticed(tmp_path, suffix, bits):
    resource = pytest.importorskip("resource", reason="this system has no limits of file size")
    path = tmp_path / f"out{suffix}"
    image = ImageData(torch.rand(1, 3, 60, 70), bits)
    write_image(path, image)
    size = path.stat().st_size
    path.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_image(path, image)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_kept_is_refused(tmp_path):
    frames = [Image.fromarray(samples(1, "u1") // (1 + i)) for i in range(2)]
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    tifffile.imwrite(tmp_path / "deep-pages.tif", np.stack([samples(1, "u2")] * 2), photometric="minisblack")
    tifffile.imwrite(tmp_path / "integers.tif", np.zeros(SHAPE, np.int32), photometric="minisblack")
    tifffile.imwrite(tmp_path / "nan.tif", np.full(SHAPE, np.nan, "f4"), photometric="minisblack")
    np.savez(tmp_path / "two.npz", a=np.zeros((3, 3)), b=np.zeros((3, 3)))
    for name, message in (
        ("pages.tif", "contains 2 images"),
        ("moving.webp", "contains 2 images"),
        ("deep-pages.tif", "contains 2 images"),
        ("integers.tif", "not supported"),
        ("nan.tif", "NaN"),
        ("two.npz", "expected one array"),
    ):
        with pytest.raises(InputError, match=message):
            read_image(tmp_path / name)


def test_formats_that_run_programs_are_refused_by_name(tmp_path):
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "EPS")
    (tmp_path / "page.png").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="a file of the format EPS, which is not read"):
        read_image(tmp_path / "page.png")


def test_gray_is_the_luma_of_pillow(tmp_path):
    values = samples(3, "u1")
    Image.fromarray(values).save(tmp_path / "in.png")
    luma = np.asarray(Image.fromarray(values).convert("L")) / np.float32(255)
    np.testing.assert_array_equal(read_gray(tmp_path / "in.png")[0, 0], luma)


def test_hidden_files_are_not_in_a_folder(tmp_path):
    for name in ("b.png", "a.png", ".c.0123abcd.part.png", "._d.jpg"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    assert [path.name for path in images_in(tmp_path)] == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["out.png", "out.tif", "out.npy"])
def test_what_is_not_finite_is_not_written(tmp_path, name):
    pixels = torch.rand(1, 3, 8, 9)
    pixels[0, 1, 2, 3] = float("nan")
    with pytest.raises(InputError, match="not written"):
        write_image(tmp_path / name, ImageData(pixels))
    assert list(tmp_path.iterdir()) == []
