"""Animations: PNG, WebP, GIF and AVIF files of several frames, read frame by frame, and PNG and WebP files written."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from gradprox.errors import InputError
from gradprox.images.animation_chunks import EncodedFrame, write_animated_webp, write_apng
from gradprox.images.deep import is_deep_png, write_deep_png
from gradprox.images.eight_bit import samples_of, write_eight_bit
from gradprox.images.fitting import fitted
from gradprox.images.formats import readable_by_pillow, too_deep
from gradprox.images.image_data import ImageData
from gradprox.images.metadata import NO_METADATA, read_metadata
from gradprox.images.samples import image_from_samples

ANIMATED_SUFFIXES = (".png", ".webp")
# How long a frame is shown if its file gives no duration, in milliseconds.
_DURATION = 100.0
# Files of several images that are no animations: variants of the first image, and pages.
_NO_ANIMATIONS = ("MPO", "TIFF")


@dataclass(frozen=True)
class Animation:
    """How an animation is played.

    Attributes:
        count: number of frames.
        plays: how often it is played; 0 for ever.
    """

    count: int
    plays: int


def animation_of(path: Path) -> Animation | None:
    """Return the animation that a file holds; None if it holds one image.

    Raises:
        InputError: its frames have more than 8 bits per sample.
        Exception: Pillow's many kinds, for damaged files and other formats; see `gradprox.images.io`.
    """
    with path.open("rb") as stream, Image.open(stream, formats=readable_by_pillow()) as image:
        count = getattr(image, "n_frames", 1)
        if count == 1 or image.format in _NO_ANIMATIONS:
            return None
        if is_deep_png(path) or too_deep(path, image.format) or image.info.get("bit_depth", 8) > 8:
            raise InputError(
                f"{path}: an animation with more than 8 bits per sample is not read: convert it to a TIFF stack"
            )
        return Animation(count, int(image.info.get("loop", 1)))


def read_frames(path: Path) -> Iterator[ImageData]:
    """Yield the frames of an animation, as they are seen: each is a whole image.

    Raises:
        Exception: Pillow's many kinds, for damaged files; see `gradprox.images.io`.
    """
    with path.open("rb") as stream, Image.open(stream, formats=readable_by_pillow()) as image:
        image.load()
        metadata, _ = read_metadata(path, image)
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            duration = float(image.info.get("duration", _DURATION))
            samples = samples_of(image.copy())
            yield image_from_samples(
                f"{path}: frame {number + 1}", samples, replace(metadata, duration=duration)
            )


def write_frames(
    stream: BinaryIO, path: Path, images: Iterable[ImageData], animation: Animation, *, alpha: bool
) -> tuple[str, ...]:
    """Write images as an animation; return the names of everything that the file does not keep.

    Args:
        stream: where to write.
        path: the name of the file; its suffix is one of `ANIMATED_SUFFIXES`.
        images: the frames, of one size, one number of channels and one bit depth.
        animation: the number of frames, and how often they are played.
        alpha: whether the frames have an alpha channel.
    """
    lost: list[str] = []

    def encoded() -> Iterator[EncodedFrame]:
        for number, image in enumerate(images):
            samples, _, metadata = fitted(path, image)
            lost.extend(metadata.lost)
            # The frames share the metadata of the first.
            kept = metadata if number == 0 else replace(NO_METADATA, encoding=metadata.encoding)
            buffer = io.BytesIO()
            if samples.dtype == np.uint8:
                write_eight_bit(buffer, suffix, samples, kept)
            else:
                write_deep_png(buffer, samples, kept)
            duration = _DURATION if metadata.duration is None else metadata.duration
            yield EncodedFrame(buffer.getvalue(), (samples.shape[0], samples.shape[1]), duration)

    suffix = path.suffix.lower()
    if suffix == ".png":
        write_apng(stream, encoded(), count=animation.count, plays=animation.plays)
    else:
        write_animated_webp(stream, encoded(), plays=animation.plays, alpha=alpha)
    return tuple(dict.fromkeys(lost))
