"""The result of a restoration."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.status import Status


@dataclass(frozen=True)
class Result:
    """A restored batch and the record of its run, per image.

    Attributes:
        x: images ``(B, C, H, W)``.
        status: why each image stopped.
        steps: steps that each image took, ``(B,)``.
        objective: exact objective ``(B, K + 1)``: before the first and after each of ``K`` steps. It is NaN where it is
            not known (before the first step of a proximal solver) and after an image has stopped.
        residual: relative change of each step, ``(B, K)``, as in `gradprox.solvers.state.relative_change`; NaN after an
            image has stopped.
        objective_increases: number of steps, ``(B,)``, that raised the objective (for `NMAPG`, its running mean) by
            more than its rounding error (see `gradprox.solvers.rounding`).
        warm_start_steps: how many of ``steps`` were taken by the warm start of a preset, ``(B,)``; 0 for a solver.
        certified: whether the solver proves that no step does. Otherwise, as for `ScheduledHQS`,
            `Continuation` and `PrimalDual`, the count has no meaning.
    """

    x: Tensor
    status: list[Status]
    steps: Tensor
    objective: Tensor
    residual: Tensor
    objective_increases: Tensor
    warm_start_steps: Tensor
    certified: bool
