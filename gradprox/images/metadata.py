"""What an image file says besides its pixels: color profile, Exif, XMP, resolution, text."""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

XMP_KEY = "XML:com.adobe.xmp"  # of XMP among the texts of a PNG
# Of the first directory of Exif, which in a TIFF file also says how its pixels are stored, what describes the photo.
_DESCRIPTIVE = (
    *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright"),
    *("Rating", "XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
)
DESCRIPTIVE_TAGS = tuple(int(ExifTags.Base[name]) for name in _DESCRIPTIVE)
_EXIF_MARK = b"Exif\0\0"  # before Exif in a JPEG file, and not in others
# One segment of a JPEG file holds that much, less what marks its kind.
_JPEG_SEGMENT = 65_000
# What Pillow raises on damaged Exif, which is then left out; found by feeding it some thousands of files.
_EXIF_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    struct.error,
    Warning,
)


@dataclass(frozen=True)
class Metadata:
    """What is carried from the image that was read to the one that is written.

    Attributes:
        icc_profile: color profile.
        exif: as in a JPEG file, upright: without the camera's orientation.
        xmp: XMP packet, upright.
        dpi: dots per inch, horizontally and vertically.
        text: keywords and texts of a PNG file.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)

    def save_options(self, suffix: str, channels: int) -> dict[str, Any]:
        """Return Pillow's options for saving a file with the lower-case ``suffix``, an image of 1 or 3 channels.

        A profile for another number of channels, and what the format has no place for, are left out.
        """
        found: dict[str, Any] = {
            "icc_profile": self.icc_profile if _fits(self.icc_profile, channels) else None,
            "dpi": self.dpi,
            "exif": self.exif,
            "xmp": self.xmp,
        }
        if suffix in (".jpg", ".jpeg"):
            found |= {key: None for key in ("exif", "xmp") if len(found[key] or b"") > _JPEG_SEGMENT}
        elif suffix == ".png":
            found["pnginfo"] = self._png_texts()
        elif suffix in (".tif", ".tiff"):
            found |= {"exif": None, "tiffinfo": self._tiff_tags()}
        return {key: value for key, value in found.items() if value}

    def exif_tags(self) -> dict[int, Any]:
        """Return the descriptive tags of the first directory of Exif."""
        exif = _loaded(self.exif)
        return {tag: exif[tag] for tag in DESCRIPTIVE_TAGS if tag in exif}

    def _png_texts(self) -> PngImagePlugin.PngInfo:
        texts = PngImagePlugin.PngInfo()
        for key, value in self.text.items():
            texts.add_itxt(key, value)
        if self.xmp:
            texts.add_itxt(XMP_KEY, self.xmp.decode(errors="replace"))
        return texts

    def _tiff_tags(self) -> Image.Exif | None:
        # Directories must have offsets to be written to a TIFF file.
        tags = _loaded(_descriptive(_loaded(self.exif)).tobytes())
        if self.xmp:
            tags[int(ExifTags.Base.XMLPacket)] = self.xmp
        return tags if len(tags) else None


NO_METADATA = Metadata()


def read_metadata(image: Image.Image) -> tuple[Metadata, int]:
    """Return the metadata of an opened image, and the Exif orientation, 1 to 8, that is to be undone."""
    orientation, exif = 1, image.info.get("exif")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # half of damaged Exif would be read with a warning
            tags = image.getexif()
            orientation = int(tags.get(ExifTags.Base.Orientation, 1))
            described = _descriptive(tags).tobytes()
            _descriptive(_loaded(exif)).tobytes()  # what writing a TIFF file will do
        if image.format == "TIFF":
            exif = described if len(tags) else None
        elif exif and orientation != 1:
            exif = _upright_exif(exif)
    except _EXIF_ERRORS:
        exif = None
    info, text = image.info, getattr(image, "text", {})
    xmp = info.get("xmp") or text.get(XMP_KEY)
    return Metadata(
        icc_profile=info.get("icc_profile") or None,
        exif=_EXIF_MARK + exif.removeprefix(_EXIF_MARK) if exif else None,
        xmp=upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp),
        dpi=usable_dpi(info.get("dpi")),
        text={key: str(value) for key, value in text.items() if key != XMP_KEY},
    ), orientation if 1 <= orientation <= 8 else 1


def _upright_exif(exif: bytes) -> bytes:
    """Set the orientation of Exif to 1 where it stands: not a byte of the rest, makers' notes included, moves."""
    start = len(_EXIF_MARK) if exif.startswith(_EXIF_MARK) else 0
    order = "<" if exif[start : start + 2] == b"II" else ">"
    changed = bytearray(exif)
    (directory,) = struct.unpack_from(f"{order}I", exif, start + 4)
    (entries,) = struct.unpack_from(f"{order}H", exif, start + directory)
    for entry in range(entries):
        position = start + directory + 2 + 12 * entry
        if struct.unpack_from(f"{order}H", exif, position) == (ExifTags.Base.Orientation,):
            struct.pack_into(f"{order}HHIHH", changed, position, ExifTags.Base.Orientation, 3, 1, 1, 0)
    return bytes(changed)


def upright_xmp(xmp: bytes | None) -> bytes | None:
    """Return an XMP packet that no longer asks for the image to be turned."""
    return re.sub(rb"(tiff:Orientation(?:=\"|>))[2-8]", rb"\g<1>1", xmp) if xmp else None


def usable_dpi(dpi: Any) -> tuple[float, float] | None:
    """Return a resolution as two positive numbers, or None where a file gives none or nonsense."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    usable = math.isfinite(across) and math.isfinite(down) and min(across, down) > 0
    return (across, down) if usable else None


def png_chunks(metadata: Metadata, channels: int) -> bytes:
    """Return the chunks that carry metadata in a PNG file, to be put after its header."""
    buffer = io.BytesIO()
    Image.new("RGB" if channels == 3 else "L", (1, 1)).save(
        buffer, "PNG", **metadata.save_options(".png", channels)
    )
    content, position, chunks = buffer.getvalue(), 8, []
    while position < len(content):
        length = 12 + int.from_bytes(content[position : position + 4], "big")
        if content[position + 4 : position + 8] not in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append(content[position : position + length])
        position += length
    return b"".join(chunks)


def _loaded(exif: bytes | None) -> Image.Exif:
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags


def _descriptive(exif: Image.Exif) -> Image.Exif:
    """Return what describes the photo, with the directories of the camera's settings and of the place."""
    kept = Image.Exif()
    for tag in DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = exif.get_ifd(directory)
        if entries:
            kept[int(directory)] = dict(entries)
    return kept


def _fits(icc_profile: bytes | None, channels: int) -> bool:
    """Return whether a profile is for colors of that many channels: bytes 16 to 19, ICC.1:2022, 7.2.6."""
    return (icc_profile or b"")[16:20] == (b"GRAY" if channels == 1 else b"RGB ")
