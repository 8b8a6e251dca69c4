"""Pictures on disk and as tensors ``(1, C, H, W)`` with values in ``[0, 1]``."""

from __future__ import annotations

import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from gradprox.errors import InputError
from gradprox.files import written_whole

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
ARRAY_SUFFIXES = (".npy",)
# What numpy raises on damaged files, found by feeding it some thousands.
NUMPY_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
)
SIXTEEN_BIT_SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        pixels: ``(1, C, H, W)``, ``C`` 1 or 3, float32; in ``[0, 1]``, except that ``.npy`` files are not scaled.
        bit_depth: 8 or 16 bits a sample, or 32 for floating point: what `write_picture` keeps.
        alpha: ``(H, W)`` opacity, kept untouched, or None.
    """

    pixels: Tensor
    bit_depth: int = 8
    alpha: NDArray[np.uint8] | None = None

    def with_pixels(self, pixels: Tensor) -> Picture:
        """Return the same picture with other pixels; a changed size loses the alpha channel."""
        same_size = pixels.shape[-2:] == self.pixels.shape[-2:]
        return Picture(pixels, self.bit_depth, self.alpha if same_size else None)


def read_picture(path: str | Path) -> Picture:
    """Read a gray or colour picture (PNG, JPEG, TIFF, WebP, BMP) or a ``.npy`` array.

    Camera orientation is applied; palettes become colours; a ``.npy`` holds ``(H, W)`` or ``(H, W, 3)``, unsigned
    integers of full range or floats that are taken as they are.

    Raises:
        InputError: the file is missing, is no picture, or holds values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _from_array(path, read_npy(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return _from_pillow(path, ImageOps.exif_transpose(opened))
    except (UnidentifiedImageError, SyntaxError) as error:
        raise InputError(f"{path}: not a picture (expected PNG, JPEG, TIFF, WebP, BMP or .npy)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: too large: {error}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or unsupported picture: {error}") from error


def read_gray(path: str | Path) -> Tensor:
    """Read a picture as gray, ``(1, 1, H, W)``: the ITU-R 601 luma of its 8-bit colours, as Pillow makes it."""
    picture = read_picture(path)
    if picture.pixels.shape[1] == 1:
        return picture.pixels
    colours = (picture.pixels[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8)
    luma = np.asarray(Image.fromarray(colours.numpy()).convert("L"), dtype=np.float32)
    return torch.from_numpy(luma / np.float32(255))[None, None]


def read_colour(path: str | Path) -> Tensor:
    """Read a picture as red, green and blue, ``(1, 3, H, W)``; gray becomes three equal channels."""
    return read_picture(path).pixels.expand(-1, 3, -1, -1)


def write_picture(path: str | Path, picture: Picture) -> None:
    """Write a picture whole or not at all; values are clipped to ``[0, 1]`` except in ``.npy`` files.

    Sixteen bits are kept where the format has them (gray PNG and TIFF), else eight are written.

    Raises:
        InputError: the suffix names no known format.
        OSError: the file cannot be written.
    """
    check_picture_suffix(path)
    path = Path(path)
    suffix = path.suffix.lower()
    values = picture.pixels.detach()[0].permute(1, 2, 0).cpu().numpy()
    if suffix in ARRAY_SUFFIXES:
        with written_whole(path) as temporary:
            np.save(temporary, values[..., 0] if values.shape[2] == 1 else values)
        return
    values = np.clip(values, 0, 1)
    deep = picture.bit_depth == 16 and values.shape[2] == 1 and suffix in SIXTEEN_BIT_SUFFIXES
    if deep:
        image = Image.fromarray(np.round(values[..., 0] * 65535).astype(np.uint16))
    else:
        samples = np.round(values * 255).astype(np.uint8)
        if picture.alpha is not None and suffix not in (".jpg", ".jpeg", ".bmp"):
            samples = np.dstack([samples, picture.alpha])
        image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    options: dict[str, Any] = {"quality": 95} if suffix in (".jpg", ".jpeg", ".webp") else {}
    with written_whole(path) as temporary:
        image.save(temporary, **options)


def check_picture_suffix(path: str | Path) -> None:
    """Refuse a path that `write_picture` could not write to.

    Raises:
        InputError: the suffix names no known format.
    """
    suffix, known = Path(path).suffix.lower(), (*PICTURE_SUFFIXES, *ARRAY_SUFFIXES)
    if suffix not in known:
        raise InputError(
            f"{path}: unknown picture format {suffix or '(no suffix)'}; choose one of {' '.join(known)}"
        )


def pictures_in(folder: str | Path) -> list[Path]:
    """Return the pictures of a folder, sorted by name.

    Raises:
        InputError: there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
    if not found:
        raise InputError(f"{folder}: no pictures in it (looked for {' '.join(PICTURE_SUFFIXES)})")
    return found


def read_npy(path: Path) -> NDArray[np.generic]:
    """Read a ``.npy`` file; objects in it are refused, never unpickled.

    Raises:
        InputError: the file is not a readable array.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except NUMPY_ERRORS as error:
        raise InputError(f"{path}: not a readable .npy array: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: an archive of arrays, not one .npy array")
    return array


def _from_array(path: Path, array: NDArray[np.generic]) -> Picture:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise InputError(f"{path}: expected an array (H, W) or (H, W, 3), got shape {array.shape}")
    if array.dtype in (np.uint8, np.uint16):
        bits = 8 * array.dtype.itemsize
        return Picture(_tensor(array.astype(np.float64) / (2**bits - 1)), bits)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{path}: expected floats, uint8 or uint16, got {array.dtype}")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: contains NaN or infinite values")
    return Picture(_tensor(array), 32)


def _from_pillow(path: Path, image: Image.Image) -> Picture:
    if image.mode in ("I;16", "I;16B", "I"):
        return Picture(_tensor(np.asarray(image)[..., None] / 65535.0), 16)
    if image.mode == "F":
        return _from_array(path, np.asarray(image))
    alpha = None
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
    gray = image.mode in ("1", "L", "LA")
    samples = np.asarray(image.convert("L" if gray else "RGB"))
    return Picture(_tensor((samples[..., None] if gray else samples) / np.float32(255)), 8, alpha)


def _tensor(values: NDArray[np.generic]) -> Tensor:
    contiguous = np.ascontiguousarray(np.moveaxis(values, 2, 0), dtype=np.float32)
    return torch.from_numpy(contiguous)[None]
