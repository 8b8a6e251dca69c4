"""The reason why an iteration ended: for solvers in torch, and for the command lines."""

from __future__ import annotations

from enum import Enum


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
        """Return whether the image is the result that was asked for."""
        return self in (Status.CONVERGED, Status.COMPLETED, Status.SCHEDULE_DONE)


_ADVICE = {
    Status.CONVERGED: "The relative change of the image fell below the tolerance.",
    Status.COMPLETED: "All steps were taken: this preset has a fixed number of them.",
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
