"""Photos of a camera: images that store the light of a scene by the curve of sRGB.

Exif says so: cameras and phones record the exposure time and the f-number of each photo. Screenshots, drawings and
exported data have neither, and scanners, which may name themselves as the model, have neither too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

if TYPE_CHECKING:
    from gradprox.images.image_data import ImageData

_EXPOSURE = (ExifTags.Base.ExposureTime, ExifTags.Base.FNumber)
# A stored value near middle gray, of 255. By the curve of sRGB its lightness (CIE L*) is 53.6, by a power of 2.2 (as in
# Adobe RGB) 54.0, by a power of 1.8 60.9, and in linear light 76.2.
_GRAY, _LIGHTNESS, _TOLERANCE = 128, 53.6, 4.0


def is_camera_photo(image: ImageData) -> bool:
    """Return whether an image from a file is a photo of a camera, whose stored values are sRGB values.

    It has 8 or 16 bits per sample, its Exif data have an exposure time or an f-number, and its color profile, if it has
    one, has about the curve of sRGB. This includes Display P3 and Adobe RGB, but not linear light.
    """
    profile = image.metadata.icc_profile
    return (
        image.bit_depth in (8, 16)
        and image.metadata.exposed
        and (profile is None or has_srgb_curve(profile, image.array.shape[1]))
    )


def states_exposure(tags: Mapping[Any, Any]) -> bool:
    """Return whether tags of Exif, by number, include a positive exposure time or f-number."""
    return any(_is_positive(tags.get(int(tag))) for tag in _EXPOSURE)


def _is_positive(value: Any) -> bool:
    """Return whether a number of Exif is positive; tifffile reads it as numerator and denominator."""
    numerator, denominator = value if isinstance(value, tuple) and len(value) == 2 else (value, 1)
    try:
        return float(numerator) > 0 and float(denominator) > 0
    except (TypeError, ValueError, ZeroDivisionError):
        return False


def has_srgb_curve(profile: bytes, channels: int) -> bool:
    """Return whether a color profile gives middle gray about the lightness that sRGB gives it.

    Args:
        profile: an ICC profile; a damaged one has no curve.
        channels: of the image, 1 or 3.
    """
    mode, gray = ("L", _GRAY) if channels == 1 else ("RGB", (_GRAY,) * 3)
    try:
        stored = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        to_lab = ImageCms.buildTransform(stored, ImageCms.createProfile("LAB"), mode, "LAB")
    except (ImageCms.PyCMSError, OSError, ImportError):  # Pillow may be built without color management
        return False
    shown = ImageCms.applyTransform(Image.new(mode, (1, 1), gray), to_lab)
    assert shown is not None  # noqa: S101  it is None only for transforms in place
    lightness = float(np.asarray(shown)[0, 0, 0]) * 100 / 255
    return abs(lightness - _LIGHTNESS) < _TOLERANCE
