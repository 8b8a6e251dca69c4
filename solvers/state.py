"""The state of a solver between two steps: the images, their objective, and how exactly it is known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from gradprox.batch import per_image

# Root mean square below which a change of the image is absolute, no longer relative: a quarter of a gray level of 255.
DARK = 1e-3


@dataclass(frozen=True)
class State:
    """The state of the iterations. Every field is a tensor with the images of the batch first.

    Attributes:
        x: the images, ``(B, C, H, W)``.
        objective: exact objective at ``x``, ``(B,)``; NaN where it is not known.
        rounding: bound of the rounding error of ``objective``, ``(B,)`` (see `gradprox.solvers.rounding`).
    """

    x: Tensor
    objective: Tensor
    rounding: Tensor

    @property
    def merit(self) -> Tensor:
        """Return the quantity that provably never rises, ``(B,)``: the objective, unless a subclass has another."""
        return self.objective

    @property
    def is_stalled(self) -> Tensor:
        """Return which images no step improves, so that they stop, ``(B,)``; only a line search can find that."""
        return torch.zeros_like(self.objective, dtype=torch.bool)

    @property
    def step_fraction(self) -> Tensor:
        """Return the length of the last step as a fraction of a full one, ``(B,)``; only a line search shortens it.

        A short step changes the image little wherever it is taken, so it proves convergence only at a tolerance that
        is as much smaller.
        """
        return torch.ones_like(self.objective)


S = TypeVar("S", bound=State)


def select(state: S, keep: Tensor) -> S:
    """Return the state of the images at the indices ``keep``."""
    return dataclasses.replace(
        state, **{field.name: getattr(state, field.name)[keep] for field in dataclasses.fields(state)}
    )


def choose(mask: Tensor, state: S, other: S) -> S:
    """Return ``state`` for the images where ``mask``, ``(B,)``, is true, and ``other`` for the rest."""
    # A traced graph cannot look at values.
    if not torch.compiler.is_compiling() and bool(mask.all()):
        return state
    pairs = {
        field.name: (getattr(state, field.name), getattr(other, field.name))
        for field in dataclasses.fields(state)
    }
    return dataclasses.replace(
        state, **{name: torch.where(per_image(mask, a), a, b) for name, (a, b) in pairs.items()}
    )


def relative_change(new: Tensor, old: Tensor) -> Tensor:
    """Return ``|new - old| / max(|new|, DARK)`` of each image, ``(B,)``, in root mean squares.

    The floor makes black images converge: the relative change of an iterate that falls to zero never becomes small.
    """
    return _root_mean_square(new - old) / _root_mean_square(new).clamp_min(DARK)


def _root_mean_square(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(dim=1).sqrt()
