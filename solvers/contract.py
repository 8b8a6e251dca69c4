"""The contract of everything that restores images: ``(y, physics, prior) -> Result``.

A `Solver` runs one algorithm, a `Preset` runs several solvers in turn, and a `DiscrepancyPreset` runs a preset several
times to find its strength. All three are restorers: code that only needs a restored image is typed against `Restorer`.

Start reading here, then `gradprox.solvers.solver` (settings, state and step of an algorithm), then one algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.priors.contract import Prior
from gradprox.solvers.result import Result
from gradprox.solvers.state import State


@dataclass(frozen=True)
class Step:
    """The record of one step, which a callback receives.

    Attributes:
        number: steps done so far, from 1.
        active: indices of the images still running, ``(A,)``.
        state: the state of these images.
        residual: their relative change, ``(A,)``; see `gradprox.solvers.state.relative_change`.
    """

    number: int
    active: Tensor
    state: State
    residual: Tensor


Callback = Callable[[Step], None]


class Restorer(Protocol):
    """Restores a batch of images from their measurements."""

    @property
    def max_iter(self) -> int:
        """Return the largest number of steps that one call takes."""

    def settings(self, prior: Prior) -> dict[str, Any]:
        """Return the settings with this prior: ``solver``, the name of the algorithm, and its ``parameters``."""

    def __call__(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: Prior,
        *,
        fidelity: DataFidelity | None = None,
        x0: Tensor | None = None,
        callback: Callback | None = None,
    ) -> Result:
        """Restore images.

        Args:
            y: measurements, batch first.
            physics: the operator that made them.
            prior: the denoiser that stands for the regularizer.
            fidelity: the data term; ``|A x - y|^2 / 2`` if not given.
            x0: the first image of the iterations, ``(B, C, H, W)``; `gradprox.physics.initial_image` if not given.
            callback: called after each step.

        Raises:
            InputError: an argument cannot be used; the message names it.
        """
