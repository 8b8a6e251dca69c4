"""Names of file formats: which are read, which are written, and advice for those that are neither."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
ARRAY_SUFFIXES = (".npy", ".npz")
# Also read, but not written.
READ_ONLY_SUFFIXES = (".gif", ".ppm", ".pgm", ".pnm", ".pbm", ".jp2", ".avif", ".qoi", ".heic", ".heif")
READABLE_SUFFIXES = (*IMAGE_SUFFIXES, *READ_ONLY_SUFFIXES)
# Pillow's names of the formats it may decode, recognized by content. Formats that run other programs are left out.
PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "QOI")
READABLE = "PNG, JPEG, TIFF, WebP, BMP, GIF, PPM, JPEG 2000, AVIF, QOI, .npy or .npz"

HEIC = "a HEIC photo"
# First bytes of formats that Pillow does not know by theirs.
_SIGNATURES = (
    (rb"....ftyp(heic|heix|hevc|heim|mif1|msf1)", HEIC),
    (rb"....ftypcrx ", "a camera's raw file"),
    (rb"FUJIFILMCCD-RAW", "a camera's raw file"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image"),
    (rb"\x76\x2f\x31\x01", "an OpenEXR image"),
    (rb"#\?R(ADIANCE|GBE)", "a Radiance HDR image"),
    (rb"%PDF", "a PDF document"),
    (rb"SIMPLE  =", "a FITS image"),
    (rb"\s*<(\?xml|svg|!DOCTYPE svg)", "an SVG drawing"),
    (rb"....ftyp", "a video"),
    (rb"\x1aE\xdf\xa3", "a video"),
)


def readable_by_pillow() -> tuple[str, ...]:
    """Return the names of the formats that Pillow may decode; HEIC photos only if the plugin pillow-heif is there."""
    if importlib.util.find_spec("pillow_heif") is None:
        return PILLOW_FORMATS
    import pillow_heif

    pillow_heif.register_heif_opener()
    return *PILLOW_FORMATS, "HEIF"


def recognized(path: Path) -> str | None:
    """Return the name of a file's format, by its first bytes, if it is a known one that is not read."""
    with path.open("rb") as stream:
        prefix = stream.read(64).ljust(64, b"\0")  # some checks of Pillow fail on shorter ones
    for pattern, name in _SIGNATURES:
        if re.match(pattern, prefix, re.DOTALL):
            return name
    Image.init()
    for name, (_, accept) in Image.OPEN.items():
        # Only the check of the first bytes is called, no decoder. It returns a sentence if a library is missing.
        if name not in PILLOW_FORMATS and accept is not None and accept(prefix):
            return f"a file of the format {name}"
    return None


def too_deep(path: Path, name: str | None) -> bool:
    """Return whether a PPM, JPEG 2000 or AVIF file has more than 8 bits per sample, which Pillow would drop."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    if name == "PPM":
        numbers = re.findall(rb"\d+", re.sub(rb"#[^\n]*\n", b" ", start[2:512]))
        return start[1:2] in b"2356" and len(numbers) > 2 and int(numbers[2]) > 255
    if (
        name == "JPEG2000"
    ):  # the marker SIZ (ISO 15444-1, A.5.1); its byte 40 holds the depth less one, and a sign
        at = start.find(b"\xff\x4f\xff\x51") + 2
        return at >= 2 and len(start) > at + 40 and (start[at + 40] & 127) > 7
    if name == "AVIF":  # the box av1C (AV1-ISOBMFF, 2.3.3): bit 6 of its third byte means 10 or 12 bits
        at = start.find(b"av1C") + 4
        return at >= 4 and len(start) > at + 2 and bool(start[at + 2] & 64)
    return False
