"""Everything that an image file holds besides its pixels: color profile, Exif, XMP, resolution, text, compression.

`Metadata.for_format` splits it into the part that a file format has a place for, and the names of the rest.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from gradprox.images.camera import states_exposure
from gradprox.images.encoding import LOSSLESS, Encoding, jpeg_encoding, tiff_encoding, webp_encoding
from gradprox.images.png_chunks import ancillary_chunks, chunk_names, extra_chunks
from gradprox.images.tiff_tags import COMPRESSION, DESCRIPTIVE, PageTag, names_of, unread_tags

XMP_KEY = "XML:com.adobe.xmp"  # the keyword of XMP among the texts of a PNG file
_EXIF_MARK = b"Exif\0\0"  # stands before Exif in a JPEG file only
# A segment of a JPEG file holds 65,533 bytes; this leaves room for the mark of its kind.
_JPEG_SEGMENT = 65_000
_JPEG_RESOLUTION = 65_535
# Pillow raises these on damaged Exif, which is then left out; found by reading some thousands of damaged files.
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
# The items that each file format has a place for.
_PLACES = {
    ".png": {"icc_profile", "exif", "xmp", "dpi", "text", "png_chunks"},
    ".jpg": {"icc_profile", "exif", "xmp", "dpi", "comment"},
    ".webp": {"icc_profile", "exif", "xmp"},
    ".tif": {"icc_profile", "exif", "xmp", "dpi"},
    ".bmp": {"dpi"},
}
_SAME_FORMAT = {".jpeg": ".jpg", ".tiff": ".tif"}
_NAMES = {
    "icc_profile": "color profile",
    "exif": "Exif",
    "xmp": "XMP",
    "dpi": "resolution",
    "text": "text",
    "comment": "comment",
}


@dataclass(frozen=True)
class Metadata:
    """The items that are carried from the image that was read to the image that is written.

    Attributes:
        icc_profile: color profile.
        exif: as in a JPEG file, upright: without the camera's orientation.
        xmp: XMP packet, upright.
        dpi: dots per inch, horizontally and vertically.
        text: keywords and texts of a PNG file.
        comment: the comment of a JPEG or GIF file.
        png_chunks: chunks of a PNG file that are copied byte by byte, such as ``gAMA`` and ``cICP``.
        encoding: how the source was compressed.
        duration: how long a frame of an animation is shown, in milliseconds; None if the image is none.
        page_tags: tags of a page of a TIFF stack, as stored: codes, types and bytes.
        exposed: whether Exif says how a camera exposed the photo.
        lost: names of the items that the source held and that no file will hold again.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    comment: bytes | None = None
    png_chunks: bytes = b""
    encoding: Encoding = LOSSLESS
    duration: float | None = None
    page_tags: tuple[PageTag, ...] = ()
    exposed: bool = False
    lost: tuple[str, ...] = ()

    def without(self, *names: str) -> Metadata:
        """Return the same metadata, with further names among the lost items."""
        return replace(self, lost=(*self.lost, *names))

    def for_format(self, suffix: str, channels: int) -> Metadata:
        """Return the part that a file format has a place for; the names of the rest are added to ``lost``.

        Args:
            suffix: of the file name, in lower case; one that is not an image's has a place for nothing.
            channels: 1 or 3; a color profile for another number is left out.
        """
        suffix = _SAME_FORMAT.get(suffix, suffix)
        places, emptied, lost = _PLACES.get(suffix, set()), dict[str, Any](), list[str]()
        if suffix == ".webp":
            channels = 3  # also for gray images
        for name in ("icc_profile", "exif", "xmp", "dpi", "text", "comment", "png_chunks"):
            value = getattr(self, name)
            fits = name in places
            if name == "icc_profile":
                fits &= _fits(value, channels)
            elif suffix == ".jpg" and name in ("exif", "xmp", "comment"):
                fits &= len(value or b"") <= _JPEG_SEGMENT
            elif suffix == ".jpg" and name == "dpi":
                fits &= max(value or (0,)) <= _JPEG_RESOLUTION
            if value and not fits:
                emptied[name] = type(value)() if name in ("text", "png_chunks") else None
                lost += chunk_names(value) if name == "png_chunks" else [_NAMES[name]]
        if suffix != ".tif":
            lost += names_of(code for code, _, _ in self.page_tags)
            emptied["page_tags"] = ()
        if suffix not in (".png", ".webp") and self.duration is not None:
            lost.append("durations of frames")
        return replace(self.without(*lost), **emptied)

    def save_options(self, suffix: str) -> dict[str, Any]:
        """Return Pillow's options for saving a file, of metadata that `for_format` returned for the same suffix."""
        found: dict[str, Any] = {
            "icc_profile": self.icc_profile,
            "dpi": self.dpi,
            "exif": self.exif,
            "xmp": self.xmp,
            "comment": self.comment,
        }
        if suffix == ".png":
            found["pnginfo"] = self._png_texts()
        elif suffix in (".tif", ".tiff"):
            found |= {"exif": None, "tiffinfo": self._tiff_tags()}
        return {key: value for key, value in found.items() if value}

    def exif_tags(self) -> dict[int, Any]:
        """Return the descriptive tags of the first directory of Exif."""
        exif = _loaded(self.exif)
        return {tag: exif[tag] for tag in DESCRIPTIVE if tag in exif}

    def _png_texts(self) -> PngImagePlugin.PngInfo:
        texts = PngImagePlugin.PngInfo()
        for key, value in self.text.items():
            texts.add_itxt(key, value)
        if self.xmp:
            texts.add_itxt(XMP_KEY, self.xmp.decode(errors="replace"))
        return texts

    def _tiff_tags(self) -> Image.Exif | None:
        # Only directories with offsets can be written to a TIFF file: serialize and load them.
        tags = _loaded(_descriptive(_loaded(self.exif)).tobytes())
        if self.xmp:
            tags[int(ExifTags.Base.XMLPacket)] = self.xmp
        return tags if len(tags) else None


NO_METADATA = Metadata()


def read_metadata(path: Path, image: Image.Image) -> tuple[Metadata, int]:
    """Return the metadata of an opened image file, and the Exif orientation, 1 to 8, that is to be undone."""
    orientation, exif, lost, info = 1, image.info.get("exif"), list[str](), image.info
    exposed = False
    # Pillow reports 72 dpi for a JPEG file that has Exif but states no resolution.
    stated = image.format not in ("JPEG", "MPO") or info.get("jfif_unit") in (1, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow would read half of damaged Exif with a warning
            tags = image.getexif()
            orientation = int(tags.get(ExifTags.Base.Orientation, 1))
            stated |= ExifTags.Base.XResolution in tags
            described = _descriptive(tags)
            content = described.tobytes()
            _descriptive(_loaded(exif)).tobytes()  # as the writer of TIFF files does
        if image.format == "TIFF":
            exif = content if len(described) else None
        elif exif and orientation != 1:
            exif = _upright_exif(exif)
        exposed = states_exposure(tags.get_ifd(ExifTags.IFD.Exif))
    except _EXIF_ERRORS:
        exif = None
        lost.append("damaged Exif")
    text, chunks, encoding = getattr(image, "text", {}), b"", LOSSLESS
    xmp = info.get("xmp") or text.get(XMP_KEY)
    if image.format == "PNG":
        chunks, dropped = extra_chunks(path)
        lost += dropped
    elif image.format in ("JPEG", "MPO"):
        encoding = jpeg_encoding(image)
        lost += _unread_segments(image)
    elif image.format == "WEBP":
        with path.open("rb") as stream:
            encoding = webp_encoding(stream)
    elif image.format == "TIFF":
        directory = getattr(image, "tag_v2", {})
        encoding = tiff_encoding(directory.get(COMPRESSION))
        lost += unread_tags(directory)
    if orientation in (5, 6, 7, 8):
        encoding = encoding.transposed()
    comment = info.get("comment") if image.format in ("JPEG", "MPO", "GIF") else None
    return Metadata(
        icc_profile=info.get("icc_profile") or None,
        exif=_EXIF_MARK + exif.removeprefix(_EXIF_MARK) if exif else None,
        xmp=upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp),
        dpi=usable_dpi(info.get("dpi")) if stated else None,
        text={key: str(value) for key, value in text.items() if key != XMP_KEY},
        comment=comment or None,
        png_chunks=chunks,
        encoding=encoding,
        exposed=exposed,
        lost=tuple(lost),
    ), orientation if 1 <= orientation <= 8 else 1


def _unread_segments(image: Image.Image) -> list[str]:
    """Return the names of a JPEG file's segments that hold neither JFIF, Exif, XMP, a profile nor Adobe's mark."""
    known = (b"JFIF\0", b"JFXX\0", _EXIF_MARK, b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"Adobe")
    unread = [
        name
        for name, content in getattr(image, "applist", ())
        if name != "COM" and not content.startswith(known)
    ]
    return [f"JPEG segment {name}" for name in dict.fromkeys(unread)]


def _upright_exif(exif: bytes) -> bytes:
    """Set the orientation of Exif to 1 in place: no other byte moves, so makers' notes stay valid."""
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
    """Return an XMP packet that no longer asks viewers to turn the image."""
    return re.sub(rb"(tiff:Orientation(?:=\"|>))[2-8]", rb"\g<1>1", xmp) if xmp else None


def usable_dpi(dpi: Any) -> tuple[float, float] | None:
    """Return a resolution as two positive numbers, or None if a file gives none or nonsense."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    usable = math.isfinite(across) and math.isfinite(down) and min(across, down) > 0
    return (across, down) if usable else None


def png_chunks(metadata: Metadata, channels: int) -> bytes:
    """Return the chunks that carry metadata in a PNG file; they belong after its header."""
    buffer = io.BytesIO()
    blank = Image.new("RGB" if channels == 3 else "L", (1, 1))
    blank.save(buffer, "PNG", **metadata.save_options(".png"))
    return metadata.png_chunks + ancillary_chunks(buffer.getvalue())


def _loaded(exif: bytes | None) -> Image.Exif:
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags


def _descriptive(exif: Image.Exif) -> Image.Exif:
    """Return the tags that describe the photo, with the directories of the camera's settings and of the place."""
    kept = Image.Exif()
    for tag in DESCRIPTIVE:
        if tag in exif:
            kept[tag] = exif[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = exif.get_ifd(directory)
        if entries:
            kept[int(directory)] = dict(entries)
    return kept


def _fits(icc_profile: bytes | None, channels: int) -> bool:
    """Return whether a profile is for colors with this number of channels (ICC.1:2022, 7.2.6: bytes 16 to 19)."""
    return (icc_profile or b"")[16:20] == (b"GRAY" if channels == 1 else b"RGB ")
