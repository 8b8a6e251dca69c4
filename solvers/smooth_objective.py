"""The explicit objective ``F = f + lambda_reg R``, optionally on a box, which smooth solvers descend."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.line_search import DELTA, SLACK, Found, backtrack
from gradprox.solvers.rounding import energy_rounding
from gradprox.solvers.scalar import Scalar, is_finite
from gradprox.solvers.state import State


@dataclass(frozen=True)
class SmoothState(State):
    """The state of a descent of ``F``.

    Attributes:
        gradient: ``grad F(x)``.
    """

    gradient: Tensor


def smooth_state(data: DataTerm, prior: Prior, sigma: Scalar, lambda_reg: Scalar, x: Tensor) -> SmoothState:
    """Return ``F(x)`` and ``grad F(x) = grad f(x) + lambda_reg (x - D(x))``; nothing is checked."""
    fit, gradient = data.value_and_gradient(x)
    denoised, energy = prior.denoise_with_energy(x, sigma)
    change = x - denoised
    rounding = smooth_rounding(data, sigma, lambda_reg, x, fit, energy, change)
    return SmoothState(x, fit + lambda_reg * energy, rounding, gradient + lambda_reg * change)


def smooth_rounding(
    data: DataTerm, sigma: Scalar, lambda_reg: Scalar, x: Tensor, fit: Tensor, energy: Tensor, change: Tensor
) -> Tensor:
    """Bound the rounding error of ``F(x)``, ``(B,)``; 0 where ``f`` is infinite.

    Args:
        data: the data term.
        sigma: noise level of the prior.
        lambda_reg: weight of the regularizer.
        x: the images.
        fit: ``f(x)``.
        energy: ``R(x)``.
        change: ``x - D(x)``.
    """
    bound = data.rounding(x, fit) + lambda_reg * energy_rounding(x, change, energy, sigma)
    return torch.where(torch.isfinite(fit), bound, 0)


def natural_length(lipschitz: Scalar, curvature: float, lambda_reg: Scalar) -> Scalar | None:
    """Return the step size ``1/(L_f + lambda c)``, with ``c = 1`` where none is proven; None without an ``L_f``."""
    return step_length(lipschitz, curvature, lambda_reg) if is_finite(lipschitz) else None


def step_length(lipschitz: Scalar, curvature: float, lambda_reg: Scalar) -> Scalar:
    """Return the step size of `natural_length` for a finite ``L_f``."""
    return 1 / (lipschitz + lambda_reg * (curvature if is_finite(curvature) else 1))


def moved(origin: SmoothState, length: Tensor, box: Box | None = None) -> Tensor:
    """Return the images after gradient steps of these lengths, ``(B,)``, projected onto the box if there is one."""
    return project(origin.x - per_image(length, origin.x) * origin.gradient, box)


def least_descent(new: SmoothState, origin: SmoothState, length: Tensor) -> Tensor:
    """Return the smallest accepted descent for steps of these lengths, ``(B,)``."""
    return DELTA * image_sum((new.x - origin.x).square()) / length


def acceptable(new: SmoothState, origin: SmoothState, length: Tensor, reference: Tensor) -> Tensor:
    """Return the largest objective, ``(B,)``, at which a step is accepted that must descend from ``reference``."""
    return reference - least_descent(new, origin, length) + SLACK * (origin.rounding + new.rounding)


def search(
    data: DataTerm,
    prior: Prior,
    sigma: Scalar,
    lambda_reg: Scalar,
    origin: SmoothState,
    length: Tensor,
    reference: Tensor,
    *,
    box: Box | None = None,
    proven: Scalar = 0.0,
) -> Found[SmoothState]:
    """Shorten gradient steps until each objective is below its reference by the smallest accepted descent.

    Args:
        data: the data term.
        prior: the prior.
        sigma: its noise level.
        lambda_reg: weight of the regularizer.
        origin: the states where the steps begin.
        length: the first lengths, ``(B,)``.
        reference: the objectives to descend from, ``(B,)``.
        box: the range of pixel values.
        proven: a length that is proven to be acceptable; 0 if none is known.
    """

    def attempt(length: Tensor) -> tuple[SmoothState, Tensor]:
        new = smooth_state(data, prior, sigma, lambda_reg, moved(origin, length, box))
        return new, acceptable(new, origin, length, reference)

    return backtrack(attempt, length, proven)


def project(x: Tensor, box: Box | None) -> Tensor:
    """Return the image in the box that is nearest to ``x``."""
    return x if box is None else x.clamp(*box)


def common_box(box: Box | None, data: DataTerm) -> Box | None:
    """Return the pixels that are legal for the solver, in ``box``, and for the data term.

    Raises:
        InputError: there are none.
    """
    if box is None or data.box is None:
        return data.box if box is None else box
    common = max(box[0], data.box[0]), min(box[1], data.box[1])
    if not common[0] < common[1]:
        raise InputError(f"box: no pixel in {box} is in the domain of the data term, {data.box}")
    return common
