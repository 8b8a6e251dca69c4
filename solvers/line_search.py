"""Backtracking: shorten each image's step until its objective is low enough. HQS, GD and NMAPG share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from gradprox.solvers.state import S

# The least descent, as a part of |step|^2 / length. Any number below 1/2 keeps proven lengths acceptable.
DELTA = 1e-4
# Factor between the lengths of two trials, and their largest number.
SHRINK = 0.5
MAX_TRIALS = 30
# Rises of this part of the rounding bound are accepted; the bound is several times the usual rounding error.
SLACK = 0.125

# From lengths (B,) to the states there, and the largest acceptable objective (B,) of each.
Attempt = Callable[[Tensor], tuple[S, Tensor]]


@dataclass(frozen=True)
class Found(Generic[S]):
    """The outcome of a line search.

    Attributes:
        state: the states of the last trial.
        length: the lengths of that trial, ``(B,)``.
        accepted: whether each image's objective is low enough there, ``(B,)``.
    """

    state: S
    length: Tensor
    accepted: Tensor


def backtrack(attempt: Attempt[S], length: Tensor, proven: float = 0.0) -> Found[S]:
    """Shorten lengths until the objective of every image is acceptable.

    Args:
        attempt: tries lengths. For an image whose length is unchanged it must return the same state again.
        length: the first lengths, ``(B,)``.
        proven: a length that is acceptable by proof, so that no shorter one is tried; 0 if none is known.
    """
    for _ in range(MAX_TRIALS):
        state, acceptable = attempt(length)
        accepted = (state.objective <= acceptable) | (length <= proven)
        if bool(accepted.all()):
            break
        length = torch.where(accepted, length, (SHRINK * length).clamp_min(proven))
    return Found(state, length, accepted)
