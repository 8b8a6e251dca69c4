r"""A kernel improved by the evidence of the power spectrum of a photo and of the phases, from a mean of estimates.

Kernels that are fitted to sharp edges err by chance and by the edges. The mean of good estimates errs less, and the sum
of the two evidences is higher at the true kernel than at the estimates. So the mean is followed by steps of gradient
ascent on the logarithms of its values, which keeps them positive. Few steps of limited size stay close to the mean: the
maximum itself fits the noise. Neither evidence would do alone: the power leaves the phases open, and the phases leave
the power open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from gradprox.blind.free_kernel import LEAST_VALUE
from gradprox.blind.kernel_step import plausible_kernel
from gradprox.blind.phases import phase_evidence
from gradprox.blind.photo_spectrum import BLOCK, PhotoSpectrum, smeared_response

# Steps of Adam (Kingma and Ba, ICLR 2015) on the logarithms of the values, their size and the decays of the moments.
STEPS, STEP_SIZE, DECAYS = 40, 0.02, (0.8, 0.98)
# Newton steps towards the weights of the spectrum: for the first kernel, and after each step of it.
FIRST, FOLLOWING = 8, 2
# Values start at this share of the largest at least, up to this many pixels beside the kernel; elsewhere they stay 0.
FLOOR, REACH = 2e-3, 2
# Kernels are shifted to each other by multiples of 1 / FRACTIONS pixels.
FRACTIONS = 8


def mean_kernel(kernels: Sequence[Tensor]) -> Tensor:
    """Return the mean of kernels ``(1, 1, h, w)`` with odd sides, each shifted so that it fits the first one best."""
    side = max(length for kernel in kernels for length in kernel.shape[-2:])
    first, *others = (_widened(kernel, side) for kernel in kernels)
    mean = plausible_kernel(sum((_shifted_to(first, other) for other in others), first), LEAST_VALUE)
    assert mean is not None  # noqa: S101  the sum of a kernel is 1
    return mean


def ascended_kernel(y: Tensor, spectrum: PhotoSpectrum, kernel: Tensor, reference: Tensor) -> Tensor:
    """Return a kernel with more evidence of the power and of the phases than a kernel close by.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        spectrum: of the photo, or of a larger part of it.
        kernel: the first kernel, ``(1, 1, side, side)`` with an odd side.
        reference: the kernel whose response sets the gain of the filter of the phases.
    """
    near = ndimage.binary_dilation(kernel[0, 0].numpy() > 0, iterations=REACH)
    support = torch.from_numpy(near).to(kernel)
    logarithms = kernel.clamp_min(FLOOR * float(kernel.max())).log().requires_grad_()
    optimizer = torch.optim.Adam([logarithms], lr=STEP_SIZE, betas=DECAYS)
    noise, weights = math.sqrt(spectrum.noise), None
    with torch.enable_grad():
        for _ in range(STEPS):
            current = _normalized(logarithms, support)
            response = smeared_response(current)[None]
            with torch.no_grad():
                weights = spectrum.fitted_weights(response, weights, FIRST if weights is None else FOLLOWING)
            # The weights are a maximum, so their change does not change the density to first order.
            power = spectrum.log_density(weights, response).sum() / spectrum.blocks
            phases = phase_evidence(y, [current], reference, noise).sum() * BLOCK**2 / y.numel()
            optimizer.zero_grad()
            (-power - phases).backward()
            optimizer.step()
    found = plausible_kernel(_normalized(logarithms.detach(), support), LEAST_VALUE)
    assert found is not None  # noqa: S101  its values are positive
    return found


def _normalized(logarithms: Tensor, support: Tensor) -> Tensor:
    """Return the kernel of sum 1 of the logarithms of its values."""
    values = logarithms.exp() * support
    return values / values.sum()


def _widened(kernel: Tensor, side: int) -> Tensor:
    """Return a kernel in the middle of ``(1, 1, side, side)``."""
    down, right = ((side - length) // 2 for length in kernel.shape[-2:])
    return F.pad(kernel, (right, right, down, down))


def _shifted_to(target: Tensor, kernel: Tensor) -> Tensor:
    """Return a kernel, shifted to the largest correlation with a target of the same size."""
    side = kernel.shape[-1]
    length = 2 * side * FRACTIONS
    spectra = [torch.fft.fft2(values.double(), s=(2 * side, 2 * side)) for values in (target, kernel)]
    cross = torch.fft.fftshift(spectra[0] * spectra[1].conj())
    # More zero frequencies interpolate the correlation.
    added = (length - 2 * side) // 2
    fine = torch.fft.ifftshift(F.pad(cross, (added, added, added, added)))
    best = divmod(int(torch.fft.ifft2(fine).real.argmax()), length)
    shift = [(at - length if at >= length // 2 else at) / FRACTIONS for at in best]
    moved = ndimage.shift(kernel[0, 0].double().numpy(), shift, order=1)
    return torch.from_numpy(moved).to(kernel)[None, None]
