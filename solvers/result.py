"""The result of a restoration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
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

    def _final_objective(self) -> Tensor:
        """Return the last known objective of each image, ``(B,)``; NaN if it has none."""
        places = torch.arange(self.objective.shape[1], device=self.objective.device)
        last = (places * ~self.objective.isnan()).argmax(dim=1, keepdim=True)
        return self.objective.gather(1, last)[:, 0]

    def __repr__(self) -> str:
        """Return a summary: the tensors would fill pages."""
        return (
            f"{type(self).__name__}({', '.join(f'{name}: {said}' for name, said in self._summary().items())})"
        )

    def _summary(self) -> dict[str, str]:
        """Return what `repr` says of each attribute."""
        counts = Counter(status.value for status in self.status)
        return {
            "x": "x".join(map(str, self.x.shape)),
            "status": " and ".join(f"{count} {name}" for name, count in counts.items()),
            "steps": _span(self.steps),
            "objective": _span(self._final_objective()),
            "objective_increases": _span(self.objective_increases) if self.certified else "not certified",
        }


def _span(values: Tensor) -> str:
    """Return the smallest and the largest of the values ``(B,)``, as text."""
    if not len(values):
        return "none"
    least, most = (f"{value:.6g}" for value in (values.min().item(), values.max().item()))
    return least if least == most else f"{least} to {most}"
