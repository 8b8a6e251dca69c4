r"""The kernel that turns sharp edges into a blurred image, and the rules that a kernel obeys.

    k = argmin |grad y - k * grad x|^2 + damping |grad x|^2 |k|^2,   k >= 0, k = 0 outside of a square

The two constraints matter: without them, the noise of the many values that must be zero spoils the others. The
solution is approximated by the accelerated projected gradient method (Beck and Teboulle, SIAM J. Imaging Sci. 2009)
with restarts (O'Donoghue and Candes, Found. Comput. Math. 2015). A step multiplies the kernel by the autocorrelation of
``grad x``, which needs Fourier transforms of twice the size of the kernel only.

A blur kernel also has sum 1 and is connected, but the solution is noisy: its small values and its small separate parts
are removed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from scipy.fft import next_fast_len
from torch import Tensor

from gradprox.blind.periodic import differences, transfer_function

# Separate parts with less than this share of the kernel are removed.
LEAST_PART = 0.1
# Steps of the projected gradient method. With half as many, estimates were hardly worse.
STEPS = 80


def fitted_kernel(
    x: Tensor, y: Tensor, side: int, damping: float, inside: Tensor, useful: Tensor, steps: int = STEPS
) -> Tensor:
    """Return the nonnegative least-squares kernel ``(1, 1, side, side)``.

    Args:
        x: the sharp edges, ``(1, 1, H, W)``, with sides of at least ``2 side - 1`` pixels.
        y: the blurred image.
        side: odd.
        damping: weight of ``|k|^2``, relative to ``|grad x|^2``: photos, and the scales of a photo, differ in contrast.
        inside: weight of each pixel, ``(H, W)``; 0 where the border of the photo shows.
        useful: weight of each gradient of the sharp edges, ``(1, 1, H, W)``.
        steps: number of iterations.
    """
    size = (x.shape[-2], x.shape[-1])
    sharp = torch.fft.rfft2(differences(x.double()) * inside * useful)
    blurred = torch.fft.rfft2(differences(y.double()) * inside)
    wanted = _around_zero((sharp.conj() * blurred).sum(dim=1, keepdim=True), size, side)
    products = _around_zero(sharp.abs().square().sum(dim=1, keepdim=True), size, 2 * side - 1)
    weight = damping * float(products[0, 0, side - 1, side - 1])  # lag 0
    length = next_fast_len(2 * side - 1, real=True)
    response = transfer_function(products, (length, length))
    bound = float(response.abs().max()) + weight  # of the eigenvalues

    kernel = torch.zeros_like(wanted)
    point, momentum = kernel, 1.0
    for _ in range(steps):
        spectrum = torch.fft.rfft2(point, s=(length, length)) * response
        explained = torch.fft.irfft2(spectrum, s=(length, length))[..., :side, :side]
        new = (point - (explained + weight * point - wanted) / bound).clamp_min(0)
        if float(((point - new) * (new - kernel)).sum()) > 0:
            momentum = 1.0  # the momentum points uphill
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        point = new + (momentum - 1) / following * (new - kernel)
        kernel, momentum = new, following
    return kernel.to(x)


def _around_zero(spectrum: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """Return the part ``(..., side, side)`` of a correlation around lag 0, which becomes its middle."""
    return torch.fft.irfft2(spectrum, s=size).roll((side // 2, side // 2), (-2, -1))[..., :side, :side]


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
