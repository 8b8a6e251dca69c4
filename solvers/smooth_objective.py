"""The explicit objective ``F = f + lambda R``, optionally on a box, that smooth solvers descend."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.solver import State

# Lowest and highest value of a pixel.
Box = tuple[float, float]


@dataclass(frozen=True)
class SmoothState(State):
    """Where a descent of ``F`` stands.

    Attributes:
        gradient: ``grad F(x)``.
    """

    gradient: Tensor


def smooth_state(
    data: DataTerm, prior: LearnedProx, sigma: float, lambda_reg: float, x: Tensor
) -> SmoothState:
    """Return ``F(x)`` and ``grad F(x) = grad f(x) + lambda (x - D(x))``."""
    value, gradient = data.value_and_gradient(x)
    denoised, regularizer = prior.denoise_with_energy(x, sigma)
    return SmoothState(
        x,
        value + lambda_reg * regularizer,
        value.abs() + lambda_reg * regularizer.abs(),
        gradient + lambda_reg * (x - denoised),
    )


def check_lambda_reg(lambda_reg: float) -> None:
    """Refuse a weight ``lambda`` that is not positive.

    Raises:
        InputError: it is not.
    """
    if not 0 < lambda_reg < float("inf"):
        raise InputError(f"lambda_reg must be positive, got {lambda_reg:g}")


def check_box(box: Box | None) -> None:
    """Refuse a box that is empty.

    Raises:
        InputError: it is, or a bound is NaN.
    """
    if box is not None and not box[0] < box[1]:
        raise InputError(f"a box is (lowest, highest) with lowest < highest, got {box}")


def project(x: Tensor, box: Box | None) -> Tensor:
    """Return the image in the box that is nearest to ``x``."""
    return x if box is None else x.clamp(*box)
