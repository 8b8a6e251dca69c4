"""Preconditioned conjugate gradients for linear systems that are too large to store, one system per image.

The *preconditioner* is a symmetric positive definite map that approximates the inverse of the operator (Golub and Van
Loan, *Matrix Computations*, 11.5). The nearer it is, the fewer steps are needed. Every step lowers ``<x, A x>/2 - <b,
x>``, with any preconditioner.

`conjugate_gradients` solves a system. Its first state and its step are functions of their own, because an exported
solver repeats the step in a loop of ONNX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gradprox.batch import image_dot, per_image

# A symmetric positive definite map of ``(B, ...)`` that treats images separately.
Operator = Callable[[Tensor], Tensor]


class Iterate(NamedTuple):
    """The state of the iterations.

    Attributes:
        x: the approximate solution, ``(B, ...)``.
        residual: ``right - operator(x)``.
        direction: the next search direction.
        energy: ``|residual|^2`` of each image, ``(B,)``.
        product: ``<residual, P residual>`` with the preconditioner ``P``, ``(B,)``.
    """

    x: Tensor
    residual: Tensor
    direction: Tensor
    energy: Tensor
    product: Tensor

    def moving(self, enough: Tensor) -> Tensor:
        """Return the images whose energy is not below ``enough``, ``(B,)``; those with a NaN residual too."""
        return ~(self.energy <= enough)

    def solvable(self, enough: Tensor) -> Tensor:
        """Return whether a further step can bring any image nearer to its solution, a scalar."""
        return (self.moving(enough) & ~self.energy.isnan()).any()

    def solution(self) -> Tensor:
        """Return ``x``, NaN where the residual is NaN, even if no step was taken."""
        return torch.where(per_image(self.energy.isnan(), self.x), torch.nan, self.x)


def first_iterate(
    operator: Operator, right: Tensor, start: Tensor | None, precondition: Operator | None = None
) -> Iterate:
    """Return the state before the first step; the initial guess is zero if not given."""
    x, residual = (torch.zeros_like(right), right) if start is None else (start, right - operator(start))
    energy = image_dot(residual, residual)
    if precondition is None:
        return Iterate(x, residual, residual, energy, energy)
    direction = precondition(residual)
    return Iterate(x, residual, direction, energy, image_dot(residual, direction))


def next_iterate(
    operator: Operator, state: Iterate, enough: Tensor, precondition: Operator | None = None
) -> Iterate:
    """Return the state after one step. Images that are no longer moving keep ``x`` and their residual."""
    moving = state.moving(enough)
    image = operator(state.direction)
    curvature = image_dot(state.direction, image)
    length = per_image(torch.where(moving, state.product / curvature, 0), state.x)
    residual = torch.addcmul(state.residual, length, image, value=-1)
    del image  # memory for large photos
    energy = image_dot(residual, residual)
    x = torch.addcmul(state.x, length, state.direction)
    improved = residual if precondition is None else precondition(residual)
    product = energy if precondition is None else image_dot(residual, improved)
    turn = per_image(torch.where(moving, product / state.product, 0), state.x)
    return Iterate(x, residual, torch.addcmul(improved, turn, state.direction), energy, product)


def small_energy(right: Tensor, tolerance: float) -> Tensor:
    """Return the largest accepted ``|residual|^2``, ``(B,)``."""
    return tolerance**2 * image_dot(right, right)


def conjugate_gradients(
    operator: Operator,
    right: Tensor,
    start: Tensor | None = None,
    *,
    tolerance: float,
    steps: int,
    precondition: Operator | None = None,
    reference: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Solve ``operator(x) = right`` by conjugate gradients; each image stops by its own residual.

    deepinv's `conjugate_gradient` stops the whole batch at once, so the result of one image depends on the others.

    Args:
        operator: a symmetric positive definite map of ``(B, ...)`` that treats images separately.
        right: the right-hand side, ``(B, ...)``.
        start: initial guess; zero if not given. Zero saves one application of the operator.
        tolerance: largest accepted norm of the residual, relative to the norm of ``reference``.
        steps: largest number of steps.
        precondition: the preconditioner, which treats images separately, too; none if not given.
        reference: ``(B, ...)``; ``right`` if not given.

    Returns:
        ``x``, and whether the residual of each image is within the tolerance, ``(B,)``. An image with a NaN residual
        is returned as NaN and counts as unsolved.
    """
    state = first_iterate(operator, right, start, precondition)
    enough = small_energy(right if reference is None else reference, tolerance)
    del right, start  # memory for large photos
    for _ in range(steps):
        if not bool(state.solvable(enough)):
            break
        state = next_iterate(operator, state, enough, precondition)
    return state.solution(), state.energy <= enough
