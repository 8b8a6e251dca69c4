"""Border rules: how an image is extended beyond its frame, and the exact adjoint of the extension.

Two rules keep Jacobians symmetric:

* ``"circular"``: the image repeats, as on a torus.
* ``"symmetric"``: half-sample symmetry. The image is mirrored and the edge pixel comes twice.

Proof for the symmetric rule. Let ``E`` extend an image to one period of the mirrored torus. Then ``E^T E = 4 I`` in
two dimensions. Let ``D~ = grad Phi~`` be an operator on the torus that commutes with both flips. Then
``Phi(x) = Phi~(E x) / 4`` has the gradient ``E^T D~(E x) / 4``, which equals ``D~(E x)`` cropped to the frame. If
``D~`` is local, a margin of its receptive radius gives the same pixels as the whole period.

For an operator without that symmetry, `fold` is the exact adjoint of `extend`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Boundary = Literal["circular", "symmetric"]


def mirrored_indices(
    length: int, before: int, after: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Return the pixel that each position of a symmetrically extended line repeats.

    The order is ``... 1 0 | 0 1 ... length-1 | length-1 length-2 ...``. Margins may be longer than the line: mirroring
    goes on, so images of one pixel work too.

    Args:
        length: number of pixels of the line.
        before: number of positions added before the line.
        after: number of positions added after the line; as many as ``before`` if not given.
        device: of the result.

    Returns:
        ``(before + length + after,)`` of integers below ``length``.
    """
    # A tensor, not a number: exporters then keep the value symbolic when the image size is.
    period = torch.full((1,), 2 * length, dtype=torch.long, device=device)
    positions = torch.arange(-before, length + (before if after is None else after), device=device) % period
    return torch.minimum(positions, period - 1 - positions)


def extend(x: Tensor, margin: int, boundary: Boundary = "symmetric") -> Tensor:
    """Extend images ``(B, C, H, W)`` to ``(B, C, H + 2 margin, W + 2 margin)``."""
    rows = _sources(x.shape[-2], margin, boundary, x.device)
    columns = _sources(x.shape[-1], margin, boundary, x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def fold(extended: Tensor, margin: int, boundary: Boundary = "symmetric") -> Tensor:
    """Apply the adjoint of `extend`: add each pixel of the margin to the pixel that it repeats.

    Args:
        extended: ``(B, C, H + 2 margin, W + 2 margin)``.
        margin: as in `extend`.
        boundary: as in `extend`.

    Returns:
        ``(B, C, H, W)``.
    """
    folded = extended
    for dim in (-2, -1):
        length = folded.shape[dim] - 2 * margin
        folded = add_back(folded, _sources(length, margin, boundary, folded.device), dim, length)
    return folded


def add_back(extended: Tensor, sources: Tensor, dim: int, length: int) -> Tensor:
    """Add each position of a dimension to the pixel that it repeats: the adjoint of ``index_select``.

    Args:
        extended: images with positions that repeat pixels along ``dim``.
        sources: the pixel that each position repeats, as of `mirrored_indices`.
        dim: the dimension.
        length: its number of pixels.
    """
    shape = list(extended.shape)
    shape[dim] = length
    return extended.new_zeros(shape).index_add(dim, sources, extended)


def crop(x: Tensor, margin: int) -> Tensor:
    """Remove ``margin`` pixels on each side of the last two dimensions."""
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


def period_weights(length: int, kernel_size: int, like: Tensor) -> tuple[int, Tensor]:
    """Return the filter outputs of one line that make up a quarter of the mirrored torus, and their weights.

    A line of ``length`` pixels, extended and filtered with ``kernel_size`` taps, has ``length + kernel_size - 1``
    outputs that touch the line. With an odd kernel the outputs centered on the ``length`` pixels count once. With an
    even kernel outputs are centered between pixels, and the first and the last sit on the two mirror lines. Each of
    these belongs half to this period and half to its mirror image.

    Returns:
        The position of the first output that counts, and the weights ``(length,)`` or ``(length + 1,)`` of that
        output and those after it, of the type and on the device of ``like``.
    """
    if kernel_size % 2:
        return (kernel_size - 1) // 2, like.new_ones(length)
    half = like.new_full((1,), 0.5)
    return (kernel_size - 2) // 2, torch.cat([half, like.new_ones(length - 1), half])


def _sources(length: int, margin: int, boundary: Boundary, device: torch.device) -> Tensor:
    """Return the pixel that each position of a line with margins repeats."""
    if boundary == "symmetric":
        return mirrored_indices(length, margin, device=device)
    return torch.arange(-margin, length + margin, device=device) % length
