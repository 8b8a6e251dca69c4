"""The explicit objective ``F = f + lambda_reg R``, optionally on a box, which smooth solvers descend."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.rounding import energy_rounding
from gradprox.solvers.state import State

# A setting: a number, or an input of an exported solver, a tensor of one value.
Scalar = float | Tensor


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


def natural_length(data: DataTerm, prior: Prior, lambda_reg: float) -> float:
    """Return the step size ``1/(L_f + lambda c)``, with ``c = 1`` where none is proven; 0 where no ``L_f`` is known."""
    bound = prior.curvature_bound()
    return 1 / (data.lipschitz + lambda_reg * (bound if math.isfinite(bound) else 1))


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
