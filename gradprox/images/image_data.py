"""An image as read from a file, and the scale that its values must have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gradprox.errors import InputError
from gradprox.images.metadata import NO_METADATA, Metadata
from gradprox.scales import wrong_value

# ITU-R BT.601 weights of red, green and blue.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ImageData:
    """An image as read from a file.

    Attributes:
        pixels: ``(1, C, H, W)``, ``C`` 1 or 3, float32; in ``[0, 1]``, except that floating-point files are not scaled.
        bit_depth: 8 or 16 bits per sample, or 32 for floating point; `write_image` keeps it.
        alpha: ``(H, W)`` opacity as stored, or None.
        metadata: color profile, Exif, compression of the source, and so on.
    """

    pixels: Tensor
    bit_depth: int = 8
    alpha: NDArray[np.generic] | None = None
    metadata: Metadata = NO_METADATA

    def with_pixels(self, pixels: Tensor) -> ImageData:
        """Return the same image with other pixels; if their size differs, the alpha channel is dropped."""
        if self.alpha is None or pixels.shape[-2:] == self.pixels.shape[-2:]:
            return replace(self, pixels=pixels)
        metadata = self.metadata.without("alpha channel (the size changed)")
        return replace(self, pixels=pixels, alpha=None, metadata=metadata)

    def gray(self) -> Tensor:
        """Return the ITU-R BT.601 luma, ``(1, 1, H, W)``: of 8-bit colors rounded to 8 bits, as Pillow does."""
        if self.pixels.shape[1] == 1:
            return self.pixels
        if self.bit_depth > 8:
            return (self.pixels * self.pixels.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        colors = (self.pixels[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8)
        luma = np.asarray(Image.fromarray(colors.numpy()).convert("L"), dtype=np.float32)
        return torch.from_numpy(luma / np.float32(255))[None, None]

    def color(self) -> Tensor:
        """Return red, green and blue, ``(1, 3, H, W)``; gray becomes three equal channels."""
        return self.pixels.expand(-1, 3, -1, -1)


def check_scale(pixels: Tensor, source: str | Path) -> None:
    """Refuse an image whose values are not on the scale from 0 (black) to 1 (white).

    Noise and highlights may leave ``[0, 1]``; the limit is `gradprox.scales.LARGEST_VALUE`.

    Args:
        pixels: an image, or several, any shape, as stored: not converted to linear light.
        source: the file or name that the message begins with.

    Raises:
        InputError: a value is out of scale, or not a number.
    """
    value = float(pixels.flatten()[pixels.abs().argmax()])
    wrong = wrong_value(value)
    if wrong is not None:
        raise InputError(f"{source}: {wrong}")
