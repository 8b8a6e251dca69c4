"""Stacks: files of several images, read and written one image at a time.

Pages of TIFF files (ImageJ and OME files included), frames of animations, and planes of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradprox.arrays import read_npy
from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.images.animations import ANIMATED_SUFFIXES, Animation, animation_of, read_frames, write_frames
from gradprox.images.deep import TIFF_SUFFIXES
from gradprox.images.fitting import fitted
from gradprox.images.formats import ARRAY_SUFFIXES
from gradprox.images.image_data import ImageData, check_scale
from gradprox.images.io import damage_named, read_image
from gradprox.images.samples import image_from_samples
from gradprox.images.tiff_stacks import ByteOrder, count_pages, read_tiff_pages, tiff_layout, write_tiff_pages

STACK_SUFFIXES = (*TIFF_SUFFIXES, *ANIMATED_SUFFIXES, ".npy")


@dataclass(frozen=True)
class Stack:
    """The images of a file.

    Attributes:
        path: the file.
        count: the number of images, at least 1.
        images: reads them in order, one at a time.
        plays: how often an animation is played; 0 for ever.
        byteorder: of a TIFF file, ``<`` or ``>``.
        big: whether the source is a BigTIFF file.
    """

    path: Path
    count: int
    images: Callable[[], Iterator[ImageData]]
    plays: int = 0
    byteorder: ByteOrder = "<"
    big: bool = False

    def check(self) -> Kinds:
        """Read all images, so that damage shows before any work is done; return what kinds of images there are.

        Raises:
            InputError: an image cannot be read, or its values are out of scale; see `check_scale`.
        """
        found = []
        for number, image in enumerate(self.images(), start=1):
            check_scale(image.array, f"{self.path}: image {number}")
            found.append((image.array.shape[-2:], image.array.shape[1], image.alpha is not None))
        sizes, channels, alphas = (frozenset(values) for values in zip(*found, strict=True))
        return Kinds(frozenset((int(h), int(w)) for h, w in sizes), frozenset(channels), any(alphas))


@dataclass(frozen=True)
class Kinds:
    """The kinds of images in a stack.

    Attributes:
        sizes: heights and widths.
        channels: numbers of channels.
        alpha: whether an image has an alpha channel.
    """

    sizes: frozenset[tuple[int, int]]
    channels: frozenset[int]
    alpha: bool


def open_stack(path: str | Path, *, separate: bool = False) -> Stack:
    """Return the images of a file: the pages of a TIFF file, the frames of an animation, the planes of an array
    ``(N, H, W)``, or the one image of another file.

    Args:
        path: of the file.
        separate: whether TIFF files may have any number of channels ``C``; their pixels are ``(1, C, H, W)``.

    Raises:
        InputError: the file is missing, damaged or truncated; reading an image raises it as `read_image` does.
    """  # noqa: D205
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() == ".npy":
        array = read_npy(path)
        if array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in (1, 3)):
            planes = array[..., None] if array.ndim == 3 else array
            if len(planes) and planes.shape[3] in (1, 3):
                return Stack(path, len(planes), lambda: (image_from_samples(path, plane) for plane in planes))
    elif path.suffix.lower() not in ARRAY_SUFFIXES:
        with damage_named(path):
            pages = count_pages(path)
            if pages > 1 or (pages and separate):
                byteorder, big = tiff_layout(path)
                return Stack(path, pages, lambda: read_tiff_pages(path, separate=separate), 0, byteorder, big)
            animation = None if pages else animation_of(path)
            if animation:
                return Stack(path, animation.count, lambda: _frames(path), animation.plays)
    return Stack(path, 1, lambda: iter([read_image(path)]))


def read_pages(path: str | Path) -> list[ImageData]:
    """Read all images of a file, as `open_stack` does.

    Raises:
        InputError: an image cannot be read.
    """
    return [*open_stack(path).images()]


def check_stack_target(path: str | Path, stack: Stack, kinds: Kinds) -> None:
    """Refuse a file that `write_stack` cannot write.

    Raises:
        InputError: its format has no place for several images, or for these.
    """
    suffix = Path(path).suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return
    if stack.count > 1 and suffix not in STACK_SUFFIXES:
        raise InputError(
            f"{path} would hold one image, and {stack.path} has {stack.count}: write a file .tif, .png or .webp"
        )
    if max(kinds.channels) > 3 or 2 in kinds.channels:
        raise InputError(f"{path} cannot hold {max(kinds.channels)} channels: write a .tif file")
    if len(kinds.sizes) > 1:
        raise InputError(f"{path} cannot hold images of different sizes: write a .tif file")


def write_stack(path: str | Path, images: Iterable[ImageData], stack: Stack, kinds: Kinds) -> tuple[str, ...]:
    """Write images as one file, whole or not at all; return the names of everything that the file does not keep.

    Args:
        path: the file; its suffix is one of `STACK_SUFFIXES`.
        images: as many as ``stack`` has, of the same kinds; they are taken one at a time.
        stack: where they come from.
        kinds: the kinds of images.

    Raises:
        InputError: the format has no place for these images, or values are not finite.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_stack_target(path, stack, kinds)
    suffix = path.suffix.lower()
    with written_whole(path) as temporary:
        if suffix in TIFF_SUFFIXES:
            return write_tiff_pages(
                temporary, images, byteorder=stack.byteorder, big=stack.big, count=stack.count
            )
        alike = (_in_layout(image, max(kinds.channels), kinds.alpha) for image in images)
        if suffix in ANIMATED_SUFFIXES:
            animation = Animation(stack.count, stack.plays)
            with temporary.open("wb") as stream:
                return write_frames(stream, path, alike, animation, alpha=kinds.alpha)
        return _write_planes(temporary, path, alike, stack.count)


def _write_planes(temporary: Path, path: Path, images: Iterable[ImageData], count: int) -> tuple[str, ...]:
    """Write images as an array ``(N, H, W)`` or ``(N, H, W, 3)``; return what it does not keep."""
    lost: list[str] = []
    with temporary.open("wb") as stream:
        for number, image in enumerate(images):
            samples, channels, metadata = fitted(path, image)
            if number == 0:
                shape = (count, *samples.shape[: 2 if channels == 1 else 3])
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(np.ascontiguousarray(samples, "<f4").tobytes())
            lost += metadata.lost
    return tuple(dict.fromkeys(lost))


def _frames(path: Path) -> Iterator[ImageData]:
    with damage_named(path):
        try:
            yield from read_frames(path)
        except SyntaxError as error:  # of Pillow, which has recognized the format already
            raise ValueError(str(error)) from error


def _in_layout(image: ImageData, channels: int, alpha: bool) -> ImageData:
    """Return an image with this number of channels, and with an alpha channel if ``alpha``."""
    array = np.broadcast_to(image.array, (1, channels, *image.array.shape[-2:]))
    opaque = np.ones(array.shape[-2:], np.float32) if image.alpha is None and alpha else image.alpha
    return ImageData(array, image.bit_depth, opaque, image.metadata)
