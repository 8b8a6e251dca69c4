"""Backtracking line search: halve each image's step until its objective is low enough. Used by HQS, GD and NMAPG.

A step that was cut to a millionth changes the image by a millionth, far from every stationary point too. States
therefore say how long their last step was (`SearchedState`), and the driver judges convergence by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from gradprox.solvers.scalar import Scalar
from gradprox.solvers.state import S, State

# The smallest accepted descent, as a fraction of |step|^2 / length. With any fraction below 1/2, proven lengths pass.
DELTA = 1e-4
# Factor between the lengths of successive trials, and the largest number of trials.
SHRINK = 0.5
MAX_TRIALS = 30
# A rise up to this fraction of the rounding bound is accepted. The bound is several times the usual rounding error.
SLACK = 0.125

# Maps lengths (B,) to the states after steps of these lengths, and to the largest acceptable objectives (B,).
Attempt = Callable[[Tensor], tuple[S, Tensor]]


@dataclass(frozen=True)
class SearchedState(State):
    """The state of a solver that searches its steps.

    Attributes:
        fraction: length of the last step as a fraction of the longest that the search would have tried, ``(B,)``; 1
            before the first step, and always 1 where the length is proven.
        stalled: whether the search found no acceptable step, ``(B,)``.
    """

    fraction: Tensor
    stalled: Tensor

    @property
    def is_stalled(self) -> Tensor:
        """See `State.is_stalled`."""
        return self.stalled

    @property
    def step_fraction(self) -> Tensor:
        """See `State.step_fraction`."""
        return self.fraction


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


def longer(fraction: Tensor) -> Tensor:
    """Return the fraction of a full step that a search tries first, ``(B,)``, after a step of ``fraction``."""
    return (fraction / SHRINK).clamp_max(1.0)


def shorter(length: Tensor, proven: Scalar) -> Tensor:
    """Return the next length to try, not below the ``proven`` one."""
    return (SHRINK * length).clamp_min(proven)


def backtrack(attempt: Attempt[S], length: Tensor, proven: Scalar = 0.0) -> Found[S]:
    """Shorten lengths until the objective of every image is acceptable.

    Args:
        attempt: computes the states for given lengths. An image with an unchanged length must get the same state again.
        length: the first lengths, ``(B,)``.
        proven: a length that is proven to be acceptable, so no shorter one is tried; 0 if none is known.
    """
    state, acceptable = attempt(length)
    for _ in range(MAX_TRIALS):
        accepted = (state.objective <= acceptable) | (length <= proven)
        if bool(accepted.all()):
            break
        length = torch.where(accepted, length, shorter(length, proven))
        state, acceptable = attempt(length)
    return Found(state, length, (state.objective <= acceptable) | (length <= proven))
