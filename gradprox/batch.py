"""Helpers for batches of images: sums per image, and values per image in a shape that broadcasts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# The types of images: Fourier transforms have no half precision, and objectives need more digits than it has.
PRECISIONS = (torch.float32, torch.float64)
# Values of an image that are summed at once: a photo of 24 megapixels takes 0.6 GB in double precision.
PART = 2**20


def image_sum(x: Tensor) -> Tensor:
    """Return the sum of each image of ``(B, ...)``, ``(B,)``, in double precision.

    A potential is a sum of millions of terms. In single precision its rounding error would exceed the decrease of an
    objective in its last steps. Apple's MPS has no double precision, so there the input's own type is used.
    """
    accumulate = x.dtype if x.device.type == "mps" else torch.float64
    return _total([part.sum(dim=1, dtype=accumulate) for part in _parts(x)])


def image_dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the inner product of each image of ``(B, ...)`` with that of ``y``, ``(B,)``, as `image_sum`."""
    return _total([image_sum(a * b) for a, b in zip(_parts(x), _parts(y), strict=True)])


def _total(sums: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, sums)


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """Return each image of ``(B, ...)`` as a few parts ``(B, n)``: torch makes copies of them in double precision."""
    flat = x.flatten(1)
    # A traced graph has symbolic sizes.
    return (flat,) if torch.compiler.is_compiling() else flat.split(PART, dim=1)


def per_image(values: Tensor, x: Tensor) -> Tensor:
    """Return values ``(B,)`` in a shape that broadcasts against ``x``, in the type of ``x`` unless they are bool."""
    shaped = values.view(-1, *[1] * (x.ndim - 1))
    return shaped if shaped.dtype == torch.bool else shaped.to(x.dtype)


def any_true(condition: Tensor) -> bool:
    """Return whether any entry is true; under ``torch.func.vmap``, whether any mapped entry is."""
    return bool(largest_of(condition))


def largest_of(values: Tensor) -> float:
    """Return the largest entry; under ``torch.func.vmap``, of all mapped entries. NaN entries do not count."""
    found: list[float] = []
    _Look.apply(values, found.append)  # a function, because transforms copy lists
    return found[0]


class _Look(torch.autograd.Function):
    """Looks at values beneath all transforms, which forbid control flow that depends on values."""

    @staticmethod
    def forward(values: Tensor, report: Callable[[float], None]) -> Tensor:
        if values.dtype == torch.bool:
            report(float(values.any()))
        else:
            report(float(values.nan_to_num(-math.inf, math.inf, -math.inf).max()))
        return values.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: Any,  # noqa: ARG004
        in_dims: tuple[int | None, ...],
        values: Tensor,
        report: Callable[[float], None],
    ) -> Any:
        return _Look.apply(values, report), in_dims[0]
