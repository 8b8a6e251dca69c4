r"""Does a blur kernel fit a photo? A test of the restored image and of its residual.

With the true kernel, the residual ``y - A x`` of a good restoration is close to the noise, which has the same power at
every frequency, plus a share of the texture of ``A x``, which the regularizer removes. With a wrong kernel some
frequencies of the photo cannot be explained, above all those that the kernel removes and the photo still has. There
the residual has a multiple of the power of the noise, although its mean square, which the discrepancy principle looks
at, may equal that of the noise. `residual_peak` measures this.

Other wrong kernels explain the photo by an image that rings. A blur with positive weights never leaves the range of
the sharp image, and the sharp image hardly leaves the range of the photo, but ringing does. `overshoot` measures this.

`wrong_kernel_score` is their product, with the weights of a logistic regression on photos of BSDS400.
``benchmarks/solvers/README.md`` compares it with other tests.

The power spectrum is estimated by Welch's method (IEEE Trans. Audio Electroacoust. 1967): the mean of the periodograms
of overlapping windowed blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics.forward_operator import ForwardOperator

# Pixels per side of a block. Wider blocks resolve more frequencies, and average fewer periodograms.
BLOCK = 32
# Pixels per side of the smallest judged photo: the mean of fewer blocks has high peaks by chance.
SMALLEST = 96
# Frequencies in a peak. A single one is more often high by chance.
STRONGEST = 5
# Share of the power of a blurred image that a regularizer may remove.
REMOVED = 0.01
# The exponent of the overshoot in the score, and the smallest overshoot, so that none is not infinitely good.
OVERSHOOT_WEIGHT, LEAST_OVERSHOOT = 1 / 40, 1e-6
# Scores from here on are taken as the sign of a wrong kernel.
LARGEST_FITTING_SCORE = 1.45
# Share of pixels at black or white from which on a photo is not judged: blurs do not explain clipped pixels.
LARGEST_CLIPPED_SHARE = 1e-3


def wrong_kernel_score(
    y: Tensor,
    x: Tensor,
    physics: ForwardOperator,
    noise: float | Tensor,
    *,
    curve: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return how much speaks against a kernel: its `residual_peak` times a small power of its `overshoot`.

    A kernel probably does not fit if this is above `LARGEST_FITTING_SCORE`. The threshold is that of the preset for
    white noise of known level: a much stronger regularizer or too small a noise level raises the score, too.

    Args:
        y: blurred photos ``(B, C, H, W)``. All channels share the kernel; their spectra are averaged.
        x: the restored images, as solvers return them: `gradprox.solvers.Result.x`.
        physics: the blur with the kernel in question.
        noise: standard deviation of the noise of ``y``, one for all or one per image ``(B,)``.
        curve: from the values of ``physics.A(x)`` to those of ``y``, if they differ: `gradprox.images.srgb.to_display`
            for stored photos that were restored in linear light. The noise of light grows with the signal, but that of
            stored values hardly does.

    Returns:
        One number per image, ``(B,)``. It is NaN for photos with a side below `SMALLEST` pixels, and for photos with
        more than `LARGEST_CLIPPED_SHARE` of the pixels at 0 or 1.

    Raises:
        InputError: the noise level is not positive.
    """
    variance = torch.as_tensor(noise, dtype=y.dtype, device=y.device).square()
    if not bool((variance > 0).all()):
        raise InputError("the noise level must be positive to judge a kernel")
    if min(y.shape[-2:]) < SMALLEST:
        return y.new_full((len(y),), torch.nan)
    with torch.no_grad():
        seen, blurred = physics.visible(x), physics.A(x)
        if curve is not None:
            seen, blurred = curve(seen), curve(blurred)
        rings = overshoot(y, seen).clamp_min(LEAST_OVERSHOOT)
        score = residual_peak(y, blurred, variance) * rings**OVERSHOOT_WEIGHT
    clipped = ((y == 0) | (y == 1)).to(y.dtype).mean(dim=(1, 2, 3))
    return score.where(clipped <= LARGEST_CLIPPED_SHARE, torch.nan)


def residual_peak(y: Tensor, blurred: Tensor, variance: Tensor) -> Tensor:
    """Return the power of the residual at its strongest frequencies, relative to what is expected there, ``(B,)``.

    Args:
        y: blurred photos ``(B, C, H, W)``.
        blurred: the restored images, blurred again.
        variance: that of the noise, ``()`` or ``(B,)``.
    """
    expected = variance.reshape(-1, 1, 1) + REMOVED * power_spectrum(blurred)
    ratio = power_spectrum(y - blurred) / expected
    return ratio.flatten(1).topk(STRONGEST).values.mean(dim=1)


def overshoot(y: Tensor, x: Tensor) -> Tensor:
    """Return the mean square of what leaves the range of the photo, divided by the photo's variance, ``(B,)``.

    Args:
        y: blurred photos ``(B, C, H, W)``.
        x: the visible part of the restored images.
    """
    inside = torch.maximum(
        torch.minimum(x, y.amax(dim=(-2, -1), keepdim=True)), y.amin(dim=(-2, -1), keepdim=True)
    )
    spread = (y - y.mean(dim=(-2, -1), keepdim=True)).square().mean(dim=(1, 2, 3))
    return (x - inside).square().mean(dim=(1, 2, 3)) / spread.clamp_min(torch.finfo(y.dtype).tiny)


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
