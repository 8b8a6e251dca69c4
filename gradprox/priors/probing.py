"""The diagonal of a symmetric map that is too large to store, from its products with random signs.

A probe ``v`` has random signs on every ``spacing``-th pixel of one channel, and is zero elsewhere. There ``v * M v`` is
``M_ii`` plus ``sum_j v_i v_j M_ij`` over the other pixels of the probe. This sum has mean zero, and is small where
``M_ij`` falls off with distance (Hutchinson 1990; Bekas, Kokiopoulou and Saad 2007).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def random_signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return -1 and 1 with equal probability, shaped and typed like a tensor; drawn on the CPU."""
    return (2 * torch.randint(2, like.shape, generator=generator) - 1).to(like)


def probes_per_pass(like: Tensor, spacing: int) -> int:
    """Return the number of products that `probed_diagonal` takes for images shaped like ``like``."""
    return like.shape[1] * min(spacing, like.shape[2]) * min(spacing, like.shape[3])


def probed_diagonal(
    apply: Callable[[Tensor], Tensor], like: Tensor, spacing: int, generator: torch.Generator
) -> Tensor:
    """Return one estimate of the diagonal of ``apply``, in which every pixel is probed once.

    Args:
        apply: a symmetric linear map of ``(B, C, H, W)`` that treats images separately.
        like: images of this shape, type and device.
        spacing: distance in pixels between the pixels of a probe.
        generator: source of the signs.
    """
    signs = random_signs(like, generator)
    diagonal = torch.zeros_like(like)
    for mask in _lattices(like, spacing):
        probe = signs * mask
        diagonal += probe * apply(probe)
    return diagonal


def root_with_error(estimates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square root of the mean of independent estimates ``(N, ...)``, and its standard error.

    The true values are not negative. A negative mean counts as 0.
    """
    mean, error = estimates.mean(dim=0), estimates.std(dim=0) / len(estimates) ** 0.5
    root = mean.clamp_min(0).sqrt()
    # d sqrt(m) = dm / (2 sqrt(m)), as long as the estimate exceeds its error.
    return root, error / (2 * root).clamp_min(error.sqrt())


def _lattices(like: Tensor, spacing: int) -> Iterator[Tensor]:
    """Yield masks that together cover every sample once: one channel, every ``spacing``-th row and column."""
    starts = range(min(spacing, like.shape[2])), range(min(spacing, like.shape[3]))
    for channel, row, column in itertools.product(range(like.shape[1]), *starts):
        mask = torch.zeros_like(like)
        mask[:, channel, row::spacing, column::spacing] = 1
        yield mask
