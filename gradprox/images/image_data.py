"""An image as read from a file, and the scale that its values must have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradprox.errors import InputError
from gradprox.images.metadata import NO_METADATA, Metadata
from gradprox.images.tensors import as_array, as_tensor
from gradprox.scales import wrong_value

if TYPE_CHECKING:
    from gradprox.images.tensors import Pixels, Tensor

# ITU-R BT.601 weights of red, green and blue.
LUMA = (0.299, 0.587, 0.114)


class ImageData:
    """An image as read from a file.

    Args:
        pixels: ``(1, C, H, W)``, ``C`` 1 or 3, a tensor or an array; in ``[0, 1]``, except that floating-point files
            are not scaled.
        bit_depth: 8 or 16 bits per sample, or 32 for floating point; `write_image` keeps it.
        alpha: ``(H, W)`` opacity as stored, or None.
        metadata: color profile, Exif, compression of the source, and so on.

    Raises:
        InputError: the pixels are not one image ``(1, C, H, W)``.

    Attributes:
        pixels: the pixels as a tensor, float32 as read.
        array: the same as an array, which needs no torch. It shares the memory of a tensor on the CPU.
    """

    def __init__(
        self,
        pixels: Pixels,
        bit_depth: int = 8,
        alpha: NDArray[np.generic] | None = None,
        metadata: Metadata = NO_METADATA,
    ) -> None:
        shape = tuple(getattr(pixels, "shape", ()))
        if len(shape) != 4 or shape[0] != 1:
            raise InputError(
                f"the pixels of one image are (1, C, H, W), got {type(pixels).__name__} of shape {shape}"
            )
        self._pixels = pixels
        self.bit_depth = bit_depth
        self.alpha = alpha
        self.metadata = metadata

    @property
    def pixels(self) -> Tensor:
        """The pixels as a tensor."""
        return as_tensor(self._pixels)

    @property
    def array(self) -> NDArray[Any]:
        """The pixels as an array."""
        return as_array(self._pixels)

    def clipped_share(self) -> float:
        """Return the share of white and black pixels; 0 for floating-point images, which are never clipped."""
        return 0.0 if self.bit_depth == 32 else float(((self.array <= 0) | (self.array >= 1)).mean())

    def with_pixels(self, pixels: Pixels) -> ImageData:
        """Return the same image with other pixels; if their size differs, the alpha channel is dropped."""
        alpha, metadata = self.alpha, self.metadata
        if alpha is not None and pixels.shape[-2:] != self._pixels.shape[-2:]:
            alpha, metadata = None, metadata.without("alpha channel (the size changed)")
        return ImageData(pixels, self.bit_depth, alpha, metadata)

    def gray(self) -> Tensor:
        """Return the ITU-R BT.601 luma, ``(1, 1, H, W)``: of 8-bit colors rounded to 8 bits, as Pillow does."""
        return as_tensor(self.gray_array())

    def gray_array(self) -> NDArray[Any]:
        """Return the same as an array, which needs no torch."""
        pixels = self.array
        if pixels.shape[1] == 1:
            return pixels
        if self.bit_depth > 8:
            weights = np.asarray(LUMA, pixels.dtype).reshape(1, 3, 1, 1)
            luma: NDArray[Any] = (pixels * weights).sum(axis=1, keepdims=True)
            return luma
        colors = np.round(np.moveaxis(pixels[0], 0, -1).clip(0, 1) * 255).astype(np.uint8)
        luma = np.asarray(Image.fromarray(colors).convert("L"), dtype=np.float32)
        return (luma / np.float32(255))[None, None]

    def color(self) -> Tensor:
        """Return red, green and blue, ``(1, 3, H, W)``; gray becomes three equal channels."""
        return self.pixels.expand(-1, 3, -1, -1)


def check_scale(pixels: Pixels, source: str | Path) -> None:
    """Refuse an image whose values are not on the scale from 0 (black) to 1 (white).

    Noise and highlights may leave ``[0, 1]``; the limit is `gradprox.scales.LARGEST_VALUE`.

    Args:
        pixels: an image, or several, any shape, as stored: not converted to linear light.
        source: the file or name that the message begins with.

    Raises:
        InputError: a value is out of scale, or not a number.
    """
    values = as_array(pixels)
    # NaN is the largest modulus.
    value = float(values.flat[int(np.abs(values).argmax())])
    wrong = wrong_value(value)
    if wrong is not None:
        raise InputError(f"{source}: {wrong}")
