"""Proven bounds of the norms of convolutions, from the frequency responses of the filters."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Number of frequencies per dimension at which responses are sampled. With it, the proven bound for 8x8 filters exceeds
# the true norm by at most 0.4 %.
FREQUENCY_GRID = 256


def fourier_norm_bound(filters: Tensor) -> Tensor:
    r"""Bound the norm of ``x -> (w_i * x)_i`` on periodic images of *any* size, differentiably.

    Args:
        filters: ``(C, k_h, k_w)``.

    Returns:
        A scalar tensor at least as large as the operator norm.

    Raises:
        ValueError: a filter has more taps than half the frequency grid.
    """
    return fourier_gram_bound(filters[:, None], filters.new_ones(filters.shape[0])).sqrt()


def fourier_gram_bound(filters: Tensor, weights: Tensor) -> Tensor:
    r"""Bound the norm of ``W^T diag(weights) W`` on periodic images of *any* size, differentiably.

    The norm is the maximum over frequencies of the largest eigenvalue of
    ``P(omega) = sum_i weights_i w_i^(omega) w_i^(omega)^*``, a matrix of size ``C_in``. For every unit vector ``v``,
    ``v^* P v`` is a trigonometric polynomial of degree at most ``k - 1`` in each frequency. The maximum of a polynomial
    of degree ``n`` exceeds its maximum on ``N`` equidistant points by a factor of at most ``1 / cos(pi n / N)`` per
    dimension (Ehlich and Zeller, Math. Z. 86, 1964, for even ``N > 2 n``). So the maximum on the grid times these
    factors bounds the norm.

    Args:
        filters: ``(C, C_in, k_h, k_w)``.
        weights: ``(C,)``, nonnegative.

    Returns:
        A scalar tensor at least as large as the norm.

    Raises:
        ValueError: a filter has more taps than half the frequency grid.
    """
    height, width = filters.shape[-2:]
    if 2 * max(height, width) > FREQUENCY_GRID:
        raise ValueError(
            f"filters of {height}x{width} taps are too large for a grid of {FREQUENCY_GRID} points"
        )
    # The correlations are summed first: then each pair of input channels needs one large transform, not C.
    spectrum = torch.fft.rfft2(filters, s=(2 * height, 2 * width))
    power = torch.einsum("c,cihw,cjhw->ijhw", weights.to(spectrum.dtype), spectrum, spectrum.conj())
    correlation = torch.fft.irfft2(power, s=(2 * height, 2 * width))
    correlation = torch.fft.fftshift(correlation, dim=(-2, -1))
    room = (0, FREQUENCY_GRID - 2 * width, 0, FREQUENCY_GRID - 2 * height)
    # Move lag zero to the origin: otherwise the matrices have a phase and are not Hermitian.
    centered = torch.roll(F.pad(correlation, room), (-height, -width), dims=(-2, -1))
    response = torch.fft.rfft2(centered)
    largest: Tensor
    if filters.shape[1] == 1:
        largest = response.abs().max()
    else:
        largest = torch.linalg.eigvalsh(response.permute(2, 3, 0, 1)).amax()
    slack = math.cos(math.pi * (height - 1) / FREQUENCY_GRID) * math.cos(
        math.pi * (width - 1) / FREQUENCY_GRID
    )
    return largest / slack
