"""The result of a restoration, and the reason why it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torch import Tensor


class Status(str, Enum):
    """The reason why the iterations of one image ended; `advice` explains it and says what to do."""

    CONVERGED = "converged"
    COMPLETED = "completed"
    MAX_ITER = "max_iter"
    SCHEDULE_DONE = "schedule_done"
    STALLED = "stalled"
    DIVERGED = "diverged"
    NON_FINITE = "non_finite"

    @property
    def advice(self) -> str:
        """Return the explanation for users, one or two sentences."""
        return _ADVICE[self]

    @property
    def succeeded(self) -> bool:
        """Return whether the run ended as planned, so that its image is the result that was asked for."""
        return self in (Status.CONVERGED, Status.COMPLETED, Status.SCHEDULE_DONE)


_ADVICE = {
    Status.CONVERGED: "The relative change of the image fell below the tolerance.",
    Status.COMPLETED: "All planned steps were taken: this preset has a fixed number of steps.",
    Status.MAX_ITER: (
        "All allowed steps were taken before the tolerance was met: allow more steps or a larger tolerance, or begin "
        "with the settings of gradprox.solvers.preset(task, noise), because the start and the noise level of the prior "
        "often matter more than steps."
    ),
    Status.SCHEDULE_DONE: "The schedule of noise levels ended. It has no objective, so nothing is certified.",
    Status.STALLED: (
        "The line search found no step, however short, that lowers the objective. The image before it is returned: "
        "try another start, for example that of gradprox.solvers.preset(task, noise), or a larger noise level of the "
        "prior."
    ),
    Status.DIVERGED: (
        "The objective or the image grew far beyond its start, which is impossible if the bound of the operator's norm "
        "is correct. The image before this step is returned: give the solver a larger lipschitz, and check that "
        "A_adjoint is the adjoint of A."
    ),
    Status.NON_FINITE: (
        "NaN or infinite values occurred, and the last finite image is returned: check the measurements."
    ),
}


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
