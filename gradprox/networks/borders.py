"""Half-sample symmetric extension: the border rule that keeps a Jacobian symmetric.

Let ``E`` repeat an image, mirrored with its edge pixel doubled, over one period of the torus. Then
``E^T E = 4 I`` in two dimensions, so that for an operator ``D~ = grad Phi~`` on the torus that commutes with
both flips, ``Phi(x) = Phi~(E x) / 4`` has the gradient ``E^T D~(E x) / 4``, which is ``D~(E x)`` cropped.
A local ``D~`` needs no whole period: a margin of its receptive radius gives the same pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mirrored_indices(length: int, margin: int, device: torch.device | None = None) -> Tensor:
    """Index a line of ``length`` pixels from ``-margin`` to ``length + margin - 1``.

    The order is ``... 1 0 | 0 1 ... length-1 | length-1 length-2 ...``; a margin longer than the line goes on
    mirroring, so an image of one pixel works too.
    """
    # A tensor, not a number: exporters keep its value open when the image's size is.
    period = torch.full((1,), 2 * length, dtype=torch.long, device=device)
    position = torch.arange(-margin, length + margin, device=device) % period
    return torch.minimum(position, period - 1 - position)


def extend(x: Tensor, margin: int) -> Tensor:
    """Extend images ``(B, C, H, W)`` to ``(B, C, H + 2 margin, W + 2 margin)`` by half-sample symmetry."""
    rows = mirrored_indices(x.shape[-2], margin, x.device)
    columns = mirrored_indices(x.shape[-1], margin, x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def crop(x: Tensor, margin: int) -> Tensor:
    """Remove ``margin`` pixels on each side of the last two dimensions."""
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


def period_weights(length: int, kernel_size: int, like: Tensor) -> tuple[int, Tensor]:
    """Say which filter outputs of one line make up a quarter of the mirrored torus, and with what weight.

    A line of ``length`` pixels, extended and filtered with ``kernel_size`` taps, has
    ``length + kernel_size - 1`` outputs whose support touches the line. With an odd kernel the outputs centered on
    the ``length`` pixels count once. With an even kernel they are centered between pixels, the first and the last
    sit on the two mirror lines, and each belongs half to this period and half to its mirror image.

    Returns:
        The position of the first output that counts, and the weights ``(length,)`` or ``(length + 1,)`` of that
        one and those after it, of the type and on the device of ``like``.
    """
    if kernel_size % 2:
        return (kernel_size - 1) // 2, like.new_ones(length)
    half = like.new_full((1,), 0.5)
    return (kernel_size - 2) // 2, torch.cat([half, like.new_ones(length - 1), half])
