"""Samples as files store them, and the pixels they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.images.image_data import ImageData
from gradprox.images.metadata import NO_METADATA, Metadata


def image_from_samples(
    path: Path | str,
    values: NDArray[np.generic],
    metadata: Metadata = NO_METADATA,
    *,
    premultiplied: bool = False,
    channels: int | None = None,
) -> ImageData:
    """Make an image of samples.

    Args:
        path: of the file, for messages.
        values: ``(H, W)`` or ``(H, W, S)``.
        metadata: of the file.
        premultiplied: whether the colors were multiplied by alpha ("associated alpha"); they are divided by it.
        channels: the number of samples per pixel that are not alpha; if not given, of 2 or 4 samples the last is alpha.

    Raises:
        InputError: the shape or type is not that of an image, or a value is not finite in single precision.
    """
    if values.ndim == 2:
        values = values[..., None]
    allowed = (1, 2, 3, 4) if channels is None else (channels, channels + 1)
    if values.ndim != 3 or values.shape[2] not in allowed or 0 in values.shape:
        raise InputError(f"{path}: expected samples (H, W) or (H, W, 3), got shape {values.shape}")
    alpha = None
    if values.shape[2] in (2, 4) if channels is None else values.shape[2] > channels:
        values, alpha = values[..., :-1], values[..., -1]
    if values.dtype in (np.uint8, np.uint16):
        bits = 8 * values.dtype.itemsize
        unit: NDArray[Any] = values.astype(np.float64) / full_scale(values.dtype)
    elif np.issubdtype(values.dtype, np.floating):
        bits, unit = 32, values
        with np.errstate(over="ignore"):  # infinite values are refused below
            if values.dtype.itemsize > 4 and (values.astype(np.float32) != values).any():
                metadata = metadata.without("digits beyond single precision")
    else:
        raise InputError(f"{path}: expected floats, uint8 or uint16, got {values.dtype}")
    if premultiplied and alpha is not None:
        unit = _divided(unit, alpha)
    pixels = _planes(unit)
    if not np.isfinite(pixels).all() or not (alpha is None or np.isfinite(alpha).all()):
        raise InputError(f"{path}: contains NaN or infinite values, or values beyond single precision")
    return ImageData(pixels, bits, alpha, metadata)


def upright(samples: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Undo an Exif orientation (Exif 2.32, tag 274) of samples ``(H, W, ...)``."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def stored_samples(
    values: NDArray[np.floating[Any]], alpha: NDArray[np.generic] | None, kind: type[np.generic]
) -> NDArray[Any]:
    """Return values ``(H, W, C)``, and alpha as a further plane, as uint8, uint16 or float32.

    Integers hold values clipped to ``[0, 1]``.
    """
    stored = _scaled(values, kind)
    return stored if alpha is None else np.dstack([stored, _scaled(alpha, kind)])


def full_scale(kind: np.dtype[Any]) -> int:
    """Return the largest value of an unsigned integer type."""
    return int(np.iinfo(kind).max)


def _scaled(values: NDArray[np.generic], kind: type[np.generic]) -> NDArray[Any]:
    if values.dtype == kind:
        return values
    unit = values if values.dtype.kind == "f" else values.astype(np.float64) / full_scale(values.dtype)
    if np.issubdtype(kind, np.floating):
        return unit.astype(kind)
    return np.round(np.clip(unit, 0, 1) * full_scale(np.dtype(kind))).astype(kind)


def _divided(unit: NDArray[np.generic], alpha: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return colors without the factor alpha; where that is 0, they are unknown, and black."""
    opacity = alpha.astype(np.float64)
    if alpha.dtype.kind != "f":
        opacity /= full_scale(alpha.dtype)
    opacity = opacity[..., None]
    visible = opacity > 0
    return np.where(visible, unit.astype(np.float64) / np.where(visible, opacity, 1.0), 0.0)


def _planes(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return samples ``(H, W, C)`` as pixels ``(1, C, H, W)``."""
    with np.errstate(
        over="ignore"
    ):  # values beyond single precision become infinite, which the caller refuses
        return np.ascontiguousarray(np.moveaxis(values, 2, 0), dtype=np.float32)[None]
