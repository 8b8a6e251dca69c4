r"""Does a blur kernel fit a photo? A test of the residual of the restored image.

With the true kernel, the residual ``y - A x`` of a good restoration is close to the noise, which has the same power at
every frequency. With a wrong kernel some frequencies of the photo cannot be explained, above all those that the kernel
removes and the photo still has. There the residual has a multiple of the power of the noise, although its mean square,
which the discrepancy principle looks at, may equal that of the noise.

The power spectrum is estimated by Welch's method (IEEE Trans. Audio Electroacoust. 1967): the mean of the periodograms
of overlapping windowed blocks. ``benchmarks/solvers/README.md`` compares this test with others.
"""

from __future__ import annotations

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.errors import InputError

# Pixels per side of a block. Wider blocks resolve more frequencies, and average fewer periodograms.
BLOCK = 32
# Pixels per side of the smallest judged photo: the mean of fewer blocks has high peaks by chance.
SMALLEST = 96
# Peaks from here on are taken as the sign of a wrong kernel; chosen on photos of BSDS400.
LARGEST_FITTING_PEAK = 2.0


def residual_peak(y: Tensor, x: Tensor, physics: LinearPhysics, noise: float | Tensor) -> Tensor:
    """Return the largest power of the residual at any frequency, divided by the power of the noise.

    A kernel probably does not fit if this is above `LARGEST_FITTING_PEAK`. So it is, too, if the noise level is too
    small, or if a regularizer much stronger than that of the preset removed details of the photo.

    Args:
        y: blurred photos ``(B, C, H, W)``. All channels share the kernel; their spectra are averaged.
        x: the restored images, as solvers return them: `gradprox.solvers.Result.x`.
        physics: the blur with the kernel in question.
        noise: standard deviation of the noise, one for all or one per image ``(B,)``.

    Returns:
        One number per image, ``(B,)``. It is NaN for photos with a side below `SMALLEST` pixels.

    Raises:
        InputError: the noise level is not positive.
    """
    variance = torch.as_tensor(noise, dtype=y.dtype, device=y.device).square()
    if not bool((variance > 0).all()):
        raise InputError("the noise level must be positive to judge a kernel")
    if min(y.shape[-2:]) < SMALLEST:
        return y.new_full((len(y),), torch.nan)
    with torch.no_grad():
        return power_spectrum(y - physics.A(x)).amax(dim=(-2, -1)) / variance


def power_spectrum(images: Tensor) -> Tensor:
    """Return the power spectrum ``(B, BLOCK, BLOCK // 2 + 1)`` of images ``(B, C, H, W)``, averaged over channels.

    White noise of variance 1 has power 1 at all frequencies except the lowest: the mean of each block is subtracted.
    """
    line = torch.hann_window(BLOCK, dtype=images.dtype, device=images.device)
    window = (line[:, None] * line / line.square().sum())[:, None]  # a block is (BLOCK, number, BLOCK)
    tops = range(0, images.shape[-2] - BLOCK + 1, BLOCK // 2)
    total = images.new_zeros(len(images), BLOCK, BLOCK // 2 + 1)
    for top in tops:  # strip by strip, because overlapping blocks take four times the memory of the image
        blocks = images[..., top : top + BLOCK, :].unfold(-1, BLOCK, BLOCK // 2)
        blocks = blocks - blocks.mean(dim=(2, 4), keepdim=True)
        total += torch.fft.rfft2(blocks * window, dim=(2, 4)).abs().square().mean(dim=(1, 3))
    return total / len(tops)
