r"""The kernel that turns sharp edges into a blurred image, and the rules that a kernel obeys.

    k = argmin sum |grad y - k * grad x|^2 + damping |k|^2

has a closed form in the Fourier domain. A blur kernel is nonnegative, has sum 1 and is connected, but the solution is
noisy: its small values and its small separate parts are removed.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from gradprox.blind.periodic import differences

# Separate parts with less than this share of the kernel are removed.
LEAST_PART = 0.1


def fitted_kernel(x: Tensor, y: Tensor, side: int, damping: float, inside: Tensor) -> Tensor:
    """Return the least-squares kernel ``(1, 1, side, side)``; it may have negative values.

    Args:
        x: the sharp edges, ``(1, 1, H, W)``.
        y: the blurred image.
        side: odd.
        damping: weight of ``|k|^2``.
        inside: weight of each pixel, ``(H, W)``; 0 where the border of the photo shows.
    """
    sharp, blurred = (torch.fft.rfft2(differences(image) * inside) for image in (x, y))
    numerator = (sharp.conj() * blurred).sum(dim=1, keepdim=True)
    kernel = torch.fft.irfft2(
        numerator / (sharp.abs().square().sum(dim=1, keepdim=True) + damping), s=x.shape[-2:]
    )
    return kernel.roll((side // 2, side // 2), (-2, -1))[..., :side, :side]


def plausible_kernel(kernel: Tensor, least: float) -> Tensor | None:
    """Return a kernel without negative, small and separate values, of sum 1, centered; None if nothing is left.

    Args:
        kernel: ``(1, 1, side, side)``.
        least: values below this share of the largest are removed.
    """
    values = kernel[0, 0].cpu().double().numpy()
    largest = float(values.max())
    if not largest > 0:
        return None
    values = np.where(values < least * largest, 0, values)
    parts, count = ndimage.label(values > 0, structure=np.ones((3, 3)))
    sums = ndimage.sum(values, parts, range(1, count + 1))
    for part, total in enumerate(sums, start=1):
        if total < LEAST_PART * values.sum() and total < sums.max():
            values = np.where(parts == part, 0, values)
    return centered(torch.from_numpy(values / values.sum()).to(kernel)[None, None])


def centered(kernel: Tensor) -> Tensor:
    """Shift a kernel with odd sides by whole pixels, so that its center of mass is in the middle pixel."""
    values = kernel[0, 0].cpu().double().numpy()
    shift = [
        round(side // 2 - at) for side, at in zip(values.shape, ndimage.center_of_mass(values), strict=True)
    ]
    moved = ndimage.shift(values, shift, order=0, cval=0)
    return torch.from_numpy(moved / moved.sum()).to(kernel)[None, None]
