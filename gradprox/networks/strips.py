"""Strips of an image: what treats every position by itself is computed for a few rows at a time.

A network with hundreds of feature maps computes some of them only to sum over them. The maps of a strip stay in the
cache of a processor, where matrix products are twice as fast, and their memory is used again for the next strip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def in_strips(
    function: Callable[..., Sequence[Tensor]], *maps: Tensor, channels: int, margins: Sequence[int] = (0,)
) -> list[Tensor]:
    """Apply a function of positions strip by strip, if `is_plain` allows it, otherwise at once.

    Args:
        function: from maps ``(B, C, h, w)`` to maps of as many rows and columns; each position of its results depends
            on the same position of its arguments.
        maps: its arguments, with the same rows and columns.
        channels: number of channels of the largest map that it computes.
        margins: rows and columns of each result to leave out on each side.
    """
    batch, _, height, width = maps[0].shape
    if not is_plain(*maps) or batch * channels * height * width <= STRIP:
        return [crop(found, margin) for found, margin in zip(function(*maps), margins, strict=True)]
    rows = max(1, STRIP // (batch * channels * width))
    results: list[Tensor] = []
    for top in range(0, height, rows):
        strip = function(*(x[..., top : top + rows, :] for x in maps))
        results = results or [
            found.new_empty(*found.shape[:2], height - 2 * margin, width - 2 * margin)
            for found, margin in zip(strip, margins, strict=True)
        ]
        for result, found, margin in zip(results, strip, margins, strict=True):
            first, last = max(top, margin), min(top + found.shape[-2], height - margin)
            if first < last:
                result[..., first - margin : last - margin, :] = found[
                    ..., first - top : last - top, margin : width - margin
                ]
    return results
