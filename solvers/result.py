"""What a solver returns, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torch import Tensor


class Status(str, Enum):
    """Why the iterations of one image ended; `advice` says what to do about it."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    SCHEDULE_DONE = "schedule_done"
    DIVERGED = "diverged"
    NON_FINITE = "non_finite"

    @property
    def advice(self) -> str:
        """Return a sentence for people."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "The relative change of the image fell below the tolerance.",
    Status.MAX_ITER: "The step budget ran out before the tolerance was met: allow more steps or a larger tolerance.",
    Status.SCHEDULE_DONE: "The schedule of noise levels ended: no objective belongs to it, nothing is certified.",
    Status.DIVERGED: (
        "The objective rose far above its start, which a true bound of the operator's norm rules out; the image "
        "before is returned: give the solver a larger lipschitz, and check that A_adjoint is the adjoint of A."
    ),
    Status.NON_FINITE: "Values stopped being finite; the last finite image is returned: check the measurements.",
}


@dataclass(frozen=True)
class Result:
    """A reconstruction and its record, per image.

    Attributes:
        x: images ``(B, C, H, W)``.
        status: why each image stopped.
        steps: steps each image took, ``(B,)``.
        objective: exact objective ``(B, K + 1)`` before the first and after each of ``K`` steps; NaN where it is
            not known (before the first step of a proximal solver) and after an image has stopped.
        residual: relative change ``|x+ - x| / |x+|`` of each step, ``(B, K)``; NaN after an image has stopped.
        objective_increases: steps, ``(B,)``, that raised the objective (for `NMAPG`, its running mean) by more than
            rounding.
        certified: whether the solver proves that none does. Where it does not, as for `ScheduledHQS` and
            `PrimalDual`, a count of zero says nothing.
    """

    x: Tensor
    status: list[Status]
    steps: Tensor
    objective: Tensor
    residual: Tensor
    objective_increases: Tensor
    certified: bool
