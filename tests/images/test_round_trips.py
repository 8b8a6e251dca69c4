"""Any image through reading and writing: everything comes back bit for bit, or its loss is named."""

from __future__ import annotations

import io
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from gradprox.images import read_image, write_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = PROFILE[:16] + b"GRAY" + PROFILE[20:]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
CHUNKS = {
    "gAMA": (45455).to_bytes(4, "big"),
    "cHRM": bytes(range(32)),
    "cICP": bytes([9, 16, 0, 1]),
    "tIME": bytes([7, 232, 1, 1, 0, 0, 0]),
    "vpAg": bytes(9),
}
# The items that each format can hold, so that a source can have them.
ITEMS = {
    ".png": {"profile", "make", "iso", "xmp", "dpi", "text", *CHUNKS},
    ".jpg": {"profile", "make", "iso", "xmp", "dpi", "comment"},
    ".webp": {"profile", "make", "iso", "xmp"},
    ".tif": {"profile", "make", "xmp", "dpi", "tag"},
    ".bmp": {"dpi"},
    ".npy": set(),
}
KINDS = {".png": ["u1", "u2"], ".tif": ["u1", "u2", "f4", "f8"], ".npy": ["u1", "u2", "f2", "f4", "f8"]}
ALPHA = {
    ".png": ["none", "straight", "one color"],
    ".tif": ["none", "straight", "associated", "unspecified"],
    ".webp": ["none", "straight"],
}
COMPRESSION = [None, "lzw", "adobe_deflate", "packbits"]
NAMES = {"profile": "color profile", "xmp": "XMP", "dpi": "resolution", "text": "text", "comment": "comment"}
SUFFIXES = list(ITEMS)


@dataclass(frozen=True)
class Source:
    suffix: str
    kind: str
    alpha: str
    compression: str | None
    items: frozenset[str]
    values: np.ndarray = field(repr=False)

    @property
    def color(self) -> bool:
        return self.values.shape[2] >= 3


@st.composite
def sources(draw):
    suffix = draw(st.sampled_from(SUFFIXES))
    kind = draw(st.sampled_from(KINDS.get(suffix, ["u1"])))
    alpha = draw(st.sampled_from(ALPHA.get(suffix, ["none"])))
    channels = 3 if suffix == ".webp" else draw(st.sampled_from([1, 3]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = random.random((height, width, channels + (alpha in ("straight", "associated", "unspecified"))))
    if alpha == "associated":
        values[..., :-1] *= values[..., -1:]
    values = np.round(values * np.iinfo(kind).max) if kind[0] == "u" else values - 0.1 * (alpha == "none")
    items = draw(st.frozensets(st.sampled_from(sorted(ITEMS[suffix])))) if ITEMS[suffix] else frozenset()
    return Source(suffix, kind, alpha, draw(st.sampled_from(COMPRESSION)), items, values.astype(kind))


def pillow_options(source):
    items, options = source.items, {}
    if "profile" in items:
        options["icc_profile"] = PROFILE if source.color else GRAY_PROFILE
    if "dpi" in items:
        options["dpi"] = (300, 300)
    elif source.suffix == ".bmp":
        options["dpi"] = (0, 0)
    if items & {"make", "iso"}:
        exif = Image.Exif()
        if "make" in items:
            exif[ExifTags.Base.Make] = "Camera"
        if "iso" in items:
            exif[int(ExifTags.IFD.Exif)] = {int(ExifTags.Base.ISOSpeedRatings): 400}
        options["exif"] = exif
    if source.suffix == ".png":
        texts = PngImagePlugin.PngInfo()
        if "text" in items:
            texts.add_text("Title", "Häuser")
        if "xmp" in items:
            texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = texts
    elif "xmp" in items:
        options["xmp"] = XMP
    if "comment" in items:
        options["comment"] = b"a word"
    return options


def chunk(name, content):
    body = name.encode() + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def write_png(path, source):
    flat = source.values[..., 0] if source.values.shape[2] == 1 else source.values
    content = bytes(imagecodecs.png_encode(np.ascontiguousarray(flat)))
    carrier = io.BytesIO()  # of the chunks that Pillow writes
    Image.new("RGB" if source.color else "L", (1, 1)).save(carrier, "PNG", **pillow_options(source))
    labels = carrier.getvalue()
    labels = labels[33 : labels.index(b"IDAT") - 4]
    own = b"".join(chunk(name, CHUNKS[name]) for name in sorted(source.items & CHUNKS.keys()))
    if source.alpha == "one color":
        own += chunk("tRNS", source.values[0, 0].astype(">u2").tobytes())
    path.write_bytes(content[:33] + own + labels + content[33:])


def write_tiff(path, source):
    extra = []
    if "xmp" in source.items:
        extra.append((700, "B", len(XMP), XMP, True))
    if "make" in source.items:
        extra.append((271, "s", 0, "Camera", True))
    if "tag" in source.items:
        extra.append((33550, "d", 3, (1.0, 1.0, 0.0), True))
    kinds = {"straight": "unassalpha", "associated": "assocalpha", "unspecified": "unspecified"}
    tifffile.imwrite(
        path,
        source.values if source.values.shape[2] > 1 else source.values[..., 0],
        photometric="rgb" if source.color else "minisblack",
        planarconfig="contig" if source.values.shape[2] > 1 else None,
        extrasamples=[kinds[source.alpha]] if source.alpha in kinds else None,
        compression=source.compression,
        iccprofile=(PROFILE if source.color else GRAY_PROFILE) if "profile" in source.items else None,
        resolution=(300, 300) if "dpi" in source.items else None,
        resolutionunit="inch" if "dpi" in source.items else None,
        extratags=extra,
        metadata=None,
        software=False,
    )


def write_source(path, source):
    if source.suffix == ".png":
        write_png(path, source)
    elif source.suffix == ".tif":
        write_tiff(path, source)
    elif source.suffix == ".npy":
        np.save(path, source.values)
    else:
        flat = source.values[..., 0] if source.values.shape[2] == 1 else source.values
        Image.fromarray(flat).save(path, lossless=True, exact=True, **pillow_options(source))


def expected_losses(source, target):
    """Return the names of what the target cannot hold."""
    items = set(source.items)
    kept = set(ITEMS[target]) - {"tIME", "tag"}
    deep_tiff = target == ".tif" and source.kind != "u1"
    losses = {NAMES[item] for item in items & NAMES.keys() if item not in kept}
    losses |= {f"PNG chunk {name}" for name in items & CHUNKS.keys() if name not in kept}
    losses |= {"TIFF tag 33550"} if "tag" in items else set()
    if "profile" in items and not source.color and target == ".webp":
        losses.add("color profile")  # its pixels become colors
    if items & {"make", "iso"}:
        if "make" not in kept:
            losses.add("Exif")
        elif deep_tiff and "iso" in items:
            losses.add("Exif (all but its texts)")
    deepest = {".png": 16, ".tif": 32, ".npy": 32}.get(target, 8)
    depth = {"u1": 8, "u2": 16}.get(source.kind, 32)
    if depth > deepest:
        name = "floating-point values" if depth == 32 else "16 bits per sample"
        losses.add(f"{name} (stored with {deepest} bits)")
    if source.kind == "f8":
        losses.add("digits beyond single precision")
    if source.alpha != "none" and target in (".jpg", ".bmp", ".npy"):
        losses.add("alpha channel")
    return losses


def expected_pixels(source):
    """Return the colors ``(C, H, W)`` and alpha that the source stands for."""
    values, alpha = source.values, None
    if source.alpha in ("straight", "associated", "unspecified"):
        values, alpha = values[..., :-1], values[..., -1]
    elif source.alpha == "one color":
        full = np.iinfo(source.kind).max
        alpha = np.where((values == values[0, 0]).all(axis=2), 0, full).astype(source.kind)
    unit = values.astype(np.float64) / (np.iinfo(source.kind).max if source.kind[0] == "u" else 1)
    if source.alpha == "associated":
        opacity = alpha.astype(np.float64) / (np.iinfo(source.kind).max if source.kind[0] == "u" else 1)
        unit = np.where(opacity[..., None] > 0, unit / np.maximum(opacity, 1e-9)[..., None], 0)
    return np.moveaxis(unit, -1, 0), alpha


@settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(source=sources(), target=st.sampled_from(SUFFIXES))
def test_everything_comes_back_or_its_loss_is_named(source, target):
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / f"in{source.suffix}", Path(folder) / f"out{target}"
        write_source(before, source)
        image = read_image(before)
        lost = write_image(after, image)
        again = read_image(after)

        # The file is read as it was meant.
        unit, alpha = expected_pixels(source)
        if source.suffix != ".jpg":
            rounding = 0.6 / 255 + 1 if source.alpha == "associated" and source.kind == "u1" else 1e-6
            np.testing.assert_allclose(image.pixels[0], unit, rtol=1e-6, atol=rounding)
        assert (image.alpha is None) == (alpha is None)
        if alpha is not None:
            np.testing.assert_array_equal(image.alpha, alpha)

        # The pixels come back, unless the loss is that of a format.
        assert set(lost) == expected_losses(source, target), (source, target)
        assert len(lost) == len(set(lost))
        shallower = again.bit_depth < image.bit_depth
        lossy = target == ".jpg" or (source.suffix == ".jpg" and target == ".webp")  # of a 4:2:0 source
        if not lossy and not shallower:
            shown = image.pixels if again.bit_depth == 32 else image.pixels.clamp(0, 1)
            steps = {8: 255, 16: 65535}.get(again.bit_depth)
            colors = again.pixels.expand_as(shown) if again.pixels.shape[1] < shown.shape[1] else again.pixels
            shown = shown.expand_as(colors)
            if steps is not None:
                colors, shown = (colors * steps).round(), (shown * steps).round()
            assert torch.equal(colors, shown), (source, target)
        if image.alpha is not None and "alpha channel" not in lost and not shallower:
            np.testing.assert_array_equal(again.alpha, image.alpha.astype(again.alpha.dtype))

        # So does everything else.
        data, stored = image.metadata, again.metadata
        for name, item in (
            ("color profile", "icc_profile"),
            ("XMP", "xmp"),
            ("text", "text"),
            ("comment", "comment"),
        ):
            if name not in lost:
                assert getattr(stored, item) == getattr(data, item), (name, source, target)
        if "resolution" not in lost and data.dpi is not None:
            np.testing.assert_allclose(stored.dpi, data.dpi, atol=0.1)
        if "Exif" not in lost:
            assert stored.exif_tags() == data.exif_tags()
        if target == ".png":
            assert stored.png_chunks == data.png_chunks
            for name in source.items & CHUNKS.keys() - {"tIME"}:
                assert after.read_bytes().count(chunk(name, CHUNKS[name])) == 1
