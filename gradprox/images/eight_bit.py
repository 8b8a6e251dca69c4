"""Images with samples of 8 bits or fewer, by Pillow."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradprox.errors import InputError
from gradprox.images.deep import TIFF_SUFFIXES, is_deep_png, read_deep_png
from gradprox.images.formats import readable_by_pillow, too_deep
from gradprox.images.image_data import ImageData
from gradprox.images.metadata import Metadata, read_metadata
from gradprox.images.png_chunks import with_chunks
from gradprox.images.samples import image_from_samples, upright
from gradprox.images.tiff_tags import EXIF, GPS

WITHOUT_ALPHA = (".jpg", ".jpeg", ".bmp")
_WITH_ALPHA = (
    "LA",
    "RGBA",
    "PA",
    "La",
    "RGBa",
)  # Pillow's modes; the lower-case a is multiplied into the colors
_DIRECT = ("1", "L", "RGB", "P", "YCbCr", *_WITH_ALPHA)


def read_eight_bit(path: Path) -> ImageData:
    """Read an image by Pillow; a PNG file of 16 bits, which Pillow recognizes but would round, by libpng.

    Raises:
        InputError: the file holds several images, or samples of a kind that is not supported.
        Exception: Pillow's many kinds, for damaged files; see `gradprox.images.io`.
    """
    # A stream, not a path: Pillow maps TIFF files into memory and returns turned ones wrong.
    with path.open("rb") as stream, Image.open(stream, formats=readable_by_pillow()) as opened:
        return _image(path, opened)


def _image(path: Path, image: Image.Image) -> ImageData:
    frames = getattr(image, "n_frames", 1)
    several = frames > 1 and image.format != "MPO"  # an MPO file's further images are variants of its first
    if several:
        kind = "pages" if image.format == "TIFF" else "frames of an animation"
        raise InputError(
            f"{path}: contains {frames} images ({kind}): save the one that you need as a separate file"
        )
    if too_deep(path, image.format) or image.info.get("bit_depth", 8) > 8:
        raise InputError(
            f"{path}: {image.format} with more than 8 bits per sample is not read: convert it to a 16-bit PNG or "
            "TIFF file"
        )
    image.load()  # Pillow turns a TIFF file upright here
    metadata, orientation = read_metadata(path, image)
    if frames > 1:
        metadata = metadata.without("further images of the file")
    if is_deep_png(path):
        values = _with_transparency(read_deep_png(path), image.info.get("transparency"))
        return image_from_samples(path, upright(values, orientation), metadata)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise InputError(
            f"{path}: samples of mode {image.mode} are not supported: use 8 or 16 bits or floats"
        )
    if image.mode not in _DIRECT:
        metadata = metadata.without(f"{image.mode} colors (converted to RGB)")
    return image_from_samples(path, upright(samples_of(image), orientation), metadata)


def samples_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the samples of a loaded image as gray or colors, with alpha in the last place if it has transparency."""
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return np.asarray(image)


def _has_directories(exif: bytes | None) -> bool:
    """Return whether Exif has directories of its own, which Pillow cannot write into a compressed TIFF file."""
    tags = Image.Exif()
    tags.load(exif or b"")
    return not {EXIF, GPS}.isdisjoint(tags)


def _with_transparency(values: NDArray[np.generic], transparent: object) -> NDArray[np.generic]:
    """Add an alpha plane to 16-bit samples ``(H, W, S)`` if one color is marked as transparent."""
    if values.shape[2] not in (1, 3) or not isinstance(transparent, int | tuple | list):
        return values
    visible = (values != np.asarray(transparent, dtype=values.dtype)).any(axis=2)
    return np.dstack([values, np.where(visible, 65535, 0).astype(values.dtype)])


def write_eight_bit(stream: io.BytesIO, suffix: str, samples: NDArray[np.uint8], metadata: Metadata) -> None:
    """Write samples ``(H, W, S)`` in the format of a lower-case suffix.

    Args:
        stream: where to write.
        suffix: of the file name.
        samples: with alpha as a last plane, if the format has it.
        metadata: the part that the format has a place for, see `Metadata.for_format`.
    """
    options = metadata.save_options(suffix)
    if suffix in (".jpg", ".jpeg"):
        options |= metadata.encoding.jpeg_options()
    elif suffix == ".webp":
        options |= metadata.encoding.webp_options()
    elif suffix in TIFF_SUFFIXES and not _has_directories(metadata.exif):
        options |= metadata.encoding.tiff_options()
    elif suffix == ".bmp":
        options.setdefault("dpi", (0, 0))  # unknown; Pillow would write 96
    encoded = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    if suffix != ".png":
        encoded.save(stream, Image.registered_extensions()[suffix], **options)
        return
    content = io.BytesIO()
    encoded.save(content, "PNG", **options)
    stream.write(with_chunks(content.getvalue(), metadata.png_chunks))
