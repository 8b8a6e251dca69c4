"""Images on disk and as tensors ``(1, C, H, W)`` with values in ``[0, 1]``."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gradprox.arrays import read_npy, read_npz
from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.images import deep as deep_images
from gradprox.images.metadata import NO_METADATA, Metadata, read_metadata

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
ARRAY_SUFFIXES = (".npy", ".npz")
# By content, whatever the name: formats that run other programs are not among them.
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
_WITHOUT_ALPHA = (".jpg", ".jpeg", ".bmp")
# What Pillow raises on damaged files, found by feeding it some thousands.
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


@dataclass(frozen=True)
class ImageData:
    """An image as read.

    Attributes:
        pixels: ``(1, C, H, W)``, ``C`` 1 or 3, float32; in ``[0, 1]``, except that floating-point files are not scaled.
        bit_depth: 8 or 16 bits a sample, or 32 for floating point: what `write_image` keeps.
        alpha: ``(H, W)`` opacity, kept untouched, or None.
        metadata: color profile, Exif and the like.
    """

    pixels: Tensor
    bit_depth: int = 8
    alpha: NDArray[np.generic] | None = None
    metadata: Metadata = NO_METADATA

    def with_pixels(self, pixels: Tensor) -> ImageData:
        """Return the same image with other pixels; a changed size loses the alpha channel."""
        same_size = pixels.shape[-2:] == self.pixels.shape[-2:]
        return replace(self, pixels=pixels, alpha=self.alpha if same_size else None)


def read_image(path: str | Path) -> ImageData:
    """Read a gray or color image (PNG, JPEG, TIFF, WebP, BMP), or an array from a ``.npy`` or ``.npz`` file.

    Camera orientation is applied; palettes become colors. An array is ``(H, W)`` or ``(H, W, 3)``, of unsigned
    integers of full range or of floats that are taken as they are, like those of a TIFF file; a ``.npz`` holds one.

    Raises:
        InputError: the file is missing, is no image, holds several, or holds values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _from_samples(path, _stored_array(path))
    try:
        samples = deep_images.read_deep_tiff(path)
        if samples is not None:
            values = _upright(samples.values, samples.orientation)
            return _from_samples(path, values, samples.metadata)
        with warnings.catch_warnings():
            # Of oddities that Pillow can read past. Its limit of size, an error, is twice that of its warning.
            warnings.simplefilter("ignore")
            # A stream, not a path: files that Pillow maps into memory come out wrong if they are TIFF and turned.
            with path.open("rb") as stream, Image.open(stream, formats=_FORMATS) as opened:
                return _from_pillow(path, opened)
    except (UnidentifiedImageError, SyntaxError) as error:
        raise InputError(
            f"{path}: not an image (expected PNG, JPEG, TIFF, WebP, BMP, .npy or .npz)"
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too large: {error}") from error
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or unsupported image: {error}") from error


def read_gray(path: str | Path) -> Tensor:
    """Read an image as gray, ``(1, 1, H, W)``: the ITU-R 601 luma of its 8-bit colors, as Pillow makes it."""
    image = read_image(path)
    if image.pixels.shape[1] == 1:
        return image.pixels
    colors = (image.pixels[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8)
    luma = np.asarray(Image.fromarray(colors.numpy()).convert("L"), dtype=np.float32)
    return torch.from_numpy(luma / np.float32(255))[None, None]


def read_color(path: str | Path) -> Tensor:
    """Read an image as red, green and blue, ``(1, 3, H, W)``; gray becomes three equal channels."""
    return read_image(path).pixels.expand(-1, 3, -1, -1)


def write_image(path: str | Path, image: ImageData) -> None:
    """Write an image whole or not at all; values are clipped to ``[0, 1]`` except in floating-point files.

    The bit depth, the alpha channel and the metadata are kept where the format has a place for them: 16 bits in PNG
    and TIFF, floating point in TIFF and arrays (16 bits in PNG), else 8 bits.

    Raises:
        InputError: the suffix names no known format, or values are not finite.
        OSError: the file cannot be written.
    """
    check_image_suffix(path)
    path = Path(path)
    suffix = path.suffix.lower()
    values = image.pixels.detach()[0].permute(1, 2, 0).cpu().numpy()
    if not np.isfinite(values).all():
        raise InputError(
            f"{path}: not written: the result contains NaN or infinite values; is the model damaged?"
        )
    # Made in memory first: on a full disk the libraries' own writers can leave out the end without a word.
    buffer = io.BytesIO()
    if suffix in ARRAY_SUFFIXES:
        array = _stored(image, values, np.float32)
        array = array[..., 0] if array.shape[2] == 1 else array
        np.save(buffer, array) if suffix == ".npy" else np.savez(buffer, image=array)
    elif suffix in deep_images.TIFF_SUFFIXES and image.bit_depth > 8:
        kind = np.uint16 if image.bit_depth == 16 else np.float32
        deep_images.write_deep_tiff(buffer, _stored(image, values, kind), image.metadata)
    elif suffix in deep_images.PNG_SUFFIXES and image.bit_depth > 8:
        deep_images.write_deep_png(buffer, _stored(image, values, np.uint16), image.metadata)
    else:
        _write_by_pillow(buffer, suffix, image, values)
    with written_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def check_image_suffix(path: str | Path) -> None:
    """Refuse a path that `write_image` could not write to.

    Raises:
        InputError: the suffix names no known format.
    """
    suffix, known = Path(path).suffix.lower(), (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
    if suffix not in known:
        raise InputError(
            f"{path}: unknown image format {suffix or '(no suffix)'}; choose one of {' '.join(known)}"
        )


def images_in(folder: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the images of a folder, or its files of other kinds, sorted by name.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    # Hidden files are other programs' (and our temporary ones).
    found = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file()
    )
    if not found:
        what = "images" if suffixes == IMAGE_SUFFIXES else "files"
        raise InputError(f"{folder}: no {what} in it (looked for {' '.join(suffixes)})")
    return found


def _stored_array(path: Path) -> NDArray[np.generic]:
    if path.suffix.lower() == ".npy":
        return read_npy(path)
    arrays = read_npz(path)
    if len(arrays) != 1:
        raise InputError(f"{path}: expected one array in it, found {len(arrays)}")
    return next(iter(arrays.values()))


def _from_samples(path: Path, values: NDArray[np.generic], metadata: Metadata = NO_METADATA) -> ImageData:
    """Make an image of samples ``(H, W)`` or ``(H, W, S)``, the last of 2 or 4 being alpha."""
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4) or 0 in values.shape:
        raise InputError(f"{path}: expected an array (H, W) or (H, W, 3), got shape {values.shape}")
    alpha = None
    if values.shape[2] in (2, 4):
        values, alpha = values[..., :-1], values[..., -1]
    if values.dtype in (np.uint8, np.uint16):
        bits = 8 * values.dtype.itemsize
        return ImageData(_tensor(values.astype(np.float64) / (2**bits - 1)), bits, alpha, metadata)
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"{path}: expected floats, uint8 or uint16, got {values.dtype}")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: contains NaN or infinite values")
    return ImageData(_tensor(values), 32, alpha, metadata)


def _from_pillow(path: Path, image: Image.Image) -> ImageData:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # whose further frames belong to the first
        raise InputError(f"{path}: holds {frames} images: give gradprox one a file")
    image.load()  # by which a TIFF file is turned already
    metadata, orientation = read_metadata(image)
    if deep_images.is_deep_png(path):
        return _from_samples(path, _upright(deep_images.read_deep_png(path), orientation), metadata)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise InputError(
            f"{path}: samples of mode {image.mode} are not supported: use 8 or 16 bits or floats"
        )
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _from_samples(path, _upright(np.asarray(image), orientation), metadata)


def _upright(samples: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Undo an Exif orientation (Exif 2.32, tag 274) of samples ``(H, W, ...)``."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _stored(image: ImageData, values: NDArray[np.float32], kind: type[np.generic]) -> NDArray[Any]:
    """Return what is stored of values ``(H, W, C)``, with alpha, as uint8, uint16 or float32."""
    stored = _scaled(values, kind)
    return stored if image.alpha is None else np.dstack([stored, _scaled(image.alpha, kind)])


def _scaled(values: NDArray[np.generic], kind: type[np.generic]) -> NDArray[Any]:
    if values.dtype == kind:
        return values
    unit = values if values.dtype.kind == "f" else values.astype(np.float64) / _full_scale(values.dtype)
    if np.issubdtype(kind, np.floating):
        return unit.astype(kind)
    return np.round(np.clip(unit, 0, 1) * _full_scale(np.dtype(kind))).astype(kind)


def _full_scale(kind: np.dtype[Any]) -> int:
    """Return the largest value of an unsigned type."""
    return 2 ** (8 * kind.itemsize) - 1


def _write_by_pillow(stream: io.BytesIO, suffix: str, image: ImageData, values: NDArray[np.float32]) -> None:
    shown = replace(image, alpha=None) if suffix in _WITHOUT_ALPHA else image
    samples = _stored(shown, values, np.uint8)
    options = image.metadata.save_options(suffix, values.shape[2])
    if suffix in (".jpg", ".jpeg", ".webp"):
        options["quality"] = 95
    encoded = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    encoded.save(stream, Image.registered_extensions()[suffix], **options)


def _tensor(values: NDArray[np.generic]) -> Tensor:
    contiguous = np.ascontiguousarray(np.moveaxis(values, 2, 0), dtype=np.float32)
    return torch.from_numpy(contiguous)[None]
