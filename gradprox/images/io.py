"""Reading and writing images in every format, as ``(1, C, H, W)`` with values in ``[0, 1]``."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gradprox.arrays import read_npy, read_npz
from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.images import deep
from gradprox.images.eight_bit import read_eight_bit, write_eight_bit
from gradprox.images.fitting import fitted
from gradprox.images.formats import (
    ARRAY_SUFFIXES,
    HEIC,
    IMAGE_SUFFIXES,
    READ_ONLY_SUFFIXES,
    READABLE,
    READABLE_SUFFIXES,
    recognized,
)
from gradprox.images.image_data import ImageData
from gradprox.images.samples import image_from_samples, upright

if TYPE_CHECKING:
    from gradprox.images.tensors import Tensor

# Pillow raises these on damaged files; found by reading some thousands of them.
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    struct.error,
)


def read_image(path: str | Path) -> ImageData:
    """Read a gray or color image from an image file, or from an array in a ``.npy`` or ``.npz`` file.

    The camera's orientation is applied, palettes become colors, and associated alpha is divided out. An array is
    ``(H, W)``, ``(H, W, 1)`` or ``(H, W, 3)``, of unsigned integers of full range or of floats, which keep their scale
    as in a TIFF file; a ``.npz`` file holds one array.

    Raises:
        InputError: the file is missing, is not an image, is of an unsupported kind, holds several images, or holds
            values that are not finite in single precision.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder, not an image' if path.is_dir() else 'no such file'}")
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return image_from_samples(path, _stored_array(path))
    with damage_named(path):
        samples = deep.read_deep_tiff(path)
        if samples is not None:
            return image_from_samples(
                path,
                upright(samples.values, samples.orientation),
                samples.metadata,
                premultiplied=samples.premultiplied,
            )
        return read_eight_bit(path)


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn the errors of Pillow in the block into errors of input that name the file.

    Raises:
        InputError: the block raised an error of a damaged or unknown file.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of oddities that it can read past. An image too large is an error, not a warning.
            warnings.simplefilter("ignore")
            yield
    except (UnidentifiedImageError, SyntaxError) as error:
        name = recognized(path)
        if name is not None:
            plugin = ", or run pip install pillow-heif" if name == HEIC else ""
            raise InputError(
                f"{path}: {name}, which is not read: convert it to PNG or TIFF{plugin}"
            ) from error
        raise InputError(f"{path}: not an image (expected {READABLE})") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too large: {error}") from error
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or unsupported image: {error}") from error


def read_gray(path: str | Path) -> Tensor:
    """Read an image as gray, ``(1, 1, H, W)``; see `ImageData.gray`."""
    return read_image(path).gray()


def read_color(path: str | Path) -> Tensor:
    """Read an image as red, green and blue, ``(1, 3, H, W)``; see `ImageData.color`."""
    return read_image(path).color()


def write_image(path: str | Path, image: ImageData) -> tuple[str, ...]:
    """Write an image whole or not at all; return the names of everything that the file does not keep.

    Values are clipped to ``[0, 1]`` except in floating-point files. The bit depth, the alpha channel and the metadata
    are kept where the format has a place for them: 16 bits in PNG and TIFF, floating point in TIFF and arrays (16 bits
    in PNG), else 8 bits. `gradprox.images.encoding` says how JPEG and WebP files are compressed. Alpha is written as
    unassociated (the colors are not multiplied by it).

    Returns:
        Names such as ``"alpha channel"`` or ``"Exif"``, including those that were lost when the image was read.

    Raises:
        InputError: the suffix names no known format, ``image`` is no `ImageData`, or values are not finite.
        OSError: the file cannot be written.
    """
    check_image_suffix(path)
    if not isinstance(image, ImageData):
        raise InputError(
            f"{path}: expected an ImageData, for example ImageData(pixels), got {type(image).__name__}"
        )
    path = Path(path)
    suffix = path.suffix.lower()
    samples, _, metadata = fitted(path, image)
    # Encoded in memory first: on a full disk the libraries' own writers can drop the end without an error.
    buffer = io.BytesIO()
    if suffix in ARRAY_SUFFIXES:
        array = samples[..., 0] if samples.shape[2] == 1 else samples
        np.save(buffer, array) if suffix == ".npy" else np.savez(buffer, image=array)
    elif samples.dtype == np.uint8:
        write_eight_bit(buffer, suffix, samples, metadata)
    elif suffix in deep.TIFF_SUFFIXES:
        metadata = deep.with_texts_only(metadata)
        deep.write_deep_tiff(buffer, samples, metadata)
    else:
        deep.write_deep_png(buffer, samples, metadata)
    with written_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return tuple(dict.fromkeys(metadata.lost))


def check_image_suffix(path: str | Path) -> None:
    """Refuse a path that `write_image` cannot write to.

    Raises:
        InputError: the suffix names no format that is written.
    """
    suffix, known = Path(path).suffix.lower(), (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
    if suffix in known:
        return
    problem = f"unknown image format {suffix or '(no suffix)'}"
    if suffix in READ_ONLY_SUFFIXES:
        problem = f"{suffix} is read, not written"
    raise InputError(f"{path}: {problem}; choose one of {' '.join(known)}")


def images_in(folder: str | Path, suffixes: Sequence[str] = READABLE_SUFFIXES) -> list[Path]:
    """Return the files of a folder that have one of the suffixes, by default every image file, sorted by name.

    Raises:
        InputError: there is no such folder, or no such file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    # Hidden files are other programs' files, or our temporary ones.
    found = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file()
    )
    if not found:
        kind = "images" if tuple(suffixes) == READABLE_SUFFIXES else "files"
        raise InputError(f"{folder}: no {kind} in it (looked for {' '.join(suffixes)})")
    return found


def _stored_array(path: Path) -> NDArray[np.generic]:
    """Return the one array of a file, ``(H, W)``, ``(H, W, 1)`` or ``(H, W, 3)``."""
    if path.suffix.lower() == ".npy":
        array = read_npy(path)
    else:
        arrays = read_npz(path)
        if len(arrays) != 1:
            raise InputError(f"{path}: expected one array in it, found {len(arrays)}")
        array = next(iter(arrays.values()))
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3)):
        return array
    advice = "save one image per file"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        advice = "move the channels to the end: numpy.moveaxis(a, 0, -1)"
    elif array.ndim == 3 and array.shape[2] in (2, 4):
        advice = "save the planes without alpha, for example a[..., :-1], or the whole as PNG or TIFF"
    raise InputError(f"{path}: expected an array (H, W), (H, W, 1) or (H, W, 3), got {array.shape}: {advice}")
