"""Strips of an image: what treats every position by itself is computed for a few rows at a time.

A network with hundreds of feature maps computes some of them only to sum over them. The maps of a strip stay in the
cache of a processor, where matrix products are twice as fast, and their memory is used again for the next strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gradprox.networks.borders import crop

# Number of values of one map that a strip has: a megabyte in single precision, as large as the cache of a core.
STRIP = 2**18


def is_plain(*tensors: Tensor) -> bool:
    """Return whether a computation on a CPU is values alone: no derivatives, no transforms, no tracing, no autocast."""
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    graph = torch.is_grad_enabled()
    return not any(
        tensor.device.type != "cpu"
        or (graph and tensor.requires_grad)
        or torch.func.debug_unwrap(tensor) is not tensor
        or forward_ad.unpack_dual(tensor).tangent is not None
        for tensor in tensors
    )


def strips_of(x: Tensor, channels: int) -> Sequence[Tensor]:
    """Return the strips of maps ``(B, C, h, w)``, from the top: one with all rows where ``x`` is not plain.

    Args:
        x: the maps.
        channels: number of channels of the largest map that is computed from them.
    """
    batch, _, height, width = x.shape
    if not is_plain(x) or batch * channels * height * width <= STRIP:
        return [x]
    return x.split(max(1, STRIP // (batch * channels * width)), dim=-2)


def like_strips(x: Tensor, strips: Sequence[Tensor]) -> Sequence[Tensor]:
    """Cut maps into strips of the same rows as others."""
    return [x] if len(strips) == 1 else x.split([strip.shape[-2] for strip in strips], dim=-2)


def joined(strips: Sequence[Tensor]) -> Tensor:
    """Put strips together again."""
    return strips[0] if len(strips) == 1 else torch.cat(list(strips), dim=-2)


def cropped(strips: Sequence[Tensor], margin: int) -> list[Tensor]:
    """Remove ``margin`` rows and columns on each side of a whole from its strips; those without rows are left out."""
    if len(strips) == 1:
        return [crop(strips[0], margin)]
    ends = list(accumulate(strip.shape[-2] for strip in strips))
    width = strips[0].shape[-1]
    kept = []
    for strip, end in zip(strips, ends, strict=True):
        top = end - strip.shape[-2]
        first, last = max(top, margin) - top, min(end, ends[-1] - margin) - top
        if first < last:
            kept.append(strip[..., first:last, margin : width - margin])
    return kept
