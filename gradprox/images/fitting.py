"""The part of an image that a file format has a place for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.images.deep import PNG_SUFFIXES, TIFF_SUFFIXES
from gradprox.images.eight_bit import WITHOUT_ALPHA
from gradprox.images.formats import ARRAY_SUFFIXES
from gradprox.images.image_data import ImageData
from gradprox.images.metadata import Metadata
from gradprox.images.samples import stored_samples

_KINDS: dict[int, type[np.generic]] = {8: np.uint8, 16: np.uint16, 32: np.float32}


class Fitted(NamedTuple):
    """An image as a file of a format holds it.

    Attributes:
        samples: ``(H, W, S)``, uint8, uint16 or float32, with alpha in the last place if there is one.
        channels: the number of samples per pixel without alpha.
        metadata: with the names of everything that the file does not keep.
    """

    samples: NDArray[Any]
    channels: int
    metadata: Metadata


def fitted(path: Path, image: ImageData) -> Fitted:
    """Return an image as the file ``path`` holds it: its suffix names the format.

    Raises:
        InputError: values are not finite.
    """
    suffix = path.suffix.lower()
    with np.errstate(over="ignore"):  # infinite values are refused below
        values = np.moveaxis(image.array[0], 0, -1).astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise InputError(
            f"{path}: not written, because the result contains NaN or infinite values: check the input and the model"
        )
    metadata, alpha = image.metadata.for_format(suffix, values.shape[2]), image.alpha
    if alpha is not None and suffix in (*WITHOUT_ALPHA, *ARRAY_SUFFIXES):
        metadata, alpha = metadata.without("alpha channel"), None
    bits = min(image.bit_depth, _deepest(suffix))
    if bits < image.bit_depth:
        metadata = metadata.without(f"{_depth_name(image.bit_depth)} (stored with {bits} bits)")
    # Arrays hold floats, whatever the depth of the source.
    kind = np.float32 if suffix in ARRAY_SUFFIXES else _KINDS[bits]
    return Fitted(stored_samples(values, alpha, kind), values.shape[2], metadata)


def _deepest(suffix: str) -> int:
    """Return the largest bit depth of a format."""
    if suffix in (*TIFF_SUFFIXES, *ARRAY_SUFFIXES):
        return 32
    return 16 if suffix in PNG_SUFFIXES else 8


def _depth_name(bits: int) -> str:
    return "floating-point values" if bits == 32 else f"{bits} bits per sample"
