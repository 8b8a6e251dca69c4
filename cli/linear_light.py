"""Whether an image is restored in linear light: as ``--linear-light`` says, or as its file suggests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradprox.images import ImageData

# Why an image is, or is not, restored in linear light; in reports.
OPTION, CAMERA, NOISE, NO_CAMERA = "option", "camera photo", "noise given", "not a camera photo"
_SENTENCES = {
    CAMERA: "in linear light, because it is a photo of a camera (--no-linear-light takes the values as stored)",
    NOISE: "values taken as stored, because --noise is given (--linear-light takes both as light)",
}


def light_of(image: ImageData, option: bool | None, *, noise_given: bool) -> tuple[bool, dict[str, Any]]:
    """Return whether an image is restored in linear light, and the figures to report.

    Light is blurred, and the files of cameras store it by the curve of sRGB, so their photos are. A given noise level
    would mean another one in light, so a photo with such a level is taken as stored, unless the option says otherwise.

    Args:
        image: from a file.
        option: the value of ``--linear-light``; None to decide by the image.
        noise_given: whether ``--noise`` gives the noise.
    """
    from gradprox.images.camera import is_camera_photo

    if option is not None:
        light, reason = option, OPTION
    elif not is_camera_photo(image):
        light, reason = False, NO_CAMERA
    else:
        light, reason = not noise_given, NOISE if noise_given else CAMERA
    return light, {"linear_light": light, "linear_light_reason": reason}


def light_in_words(record: dict[str, Any]) -> list[str]:
    """Return the automatic choices of the images of a file, each once, as short texts for people."""
    reasons = dict.fromkeys(found.get("linear_light_reason") for found in _images(record))
    return [_SENTENCES[reason] for reason in reasons if reason in _SENTENCES]


def _images(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of the images of a file, and of their channels if these are restored separately."""
    if "images" not in record:
        yield record
    for image in record.get("images", ()):
        yield from image.get("channels", [image])
