"""Gradient descent with the step lengths of Barzilai and Borwein, safeguarded by steps of proven length."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradprox.batch import per_image

# If the norm of the gradient has not fallen by the share FALL within PATIENCE steps, only steps of proven length are
# taken until it has.
PATIENCE, FALL = 10, 0.1


class Descent(NamedTuple):
    """The state of the iterations, for each image.

    Attributes:
        point: the current images, ``(B, C, H, W)``.
        gradient: the gradient at the previous point; zero at first.
        length: the length of the step from the previous point, ``(B,)``.
        size: the root mean square gradient when it last fell by the share `FALL`, ``(B,)``.
        age: the number of steps since then, ``(B,)``.
    """

    point: Tensor
    gradient: Tensor
    length: Tensor
    size: Tensor
    age: Tensor

    @classmethod
    def from_point(cls, point: Tensor) -> Descent:
        """Return the state before the first step."""
        ones = torch.ones_like(point[:, 0, 0, 0])
        return cls(point, torch.zeros_like(point), ones, ones * torch.inf, 0 * ones)


def advance(state: Descent, gradient: Tensor, shortest: Tensor, longest: float) -> Descent:
    """Take one gradient step, with the step length of Barzilai and Borwein (IMA J. Numer. Anal. 1988).

    The length is ``<s, d> / |d|^2``, where ``s`` is the last change of the point and ``d`` that of the gradient, within
    the inverse bounds of the Hessian. Few steps of this length are needed, but convergence is not proven. Steps of the
    shortest length converge: if the Hessian lies between ``1/longest`` and ``1/shortest``, each leaves at most
    ``1 - shortest/longest`` of the norm of the gradient. They are used while that norm has not fallen by `FALL` for
    `PATIENCE` steps.

    Args:
        state: the state of the descent.
        gradient: the gradient at the state's point, ``(B, C, H, W)``.
        shortest: shortest step length, the inverse of an upper bound of the Hessian, ``(1,)`` or ``(B,)``.
        longest: longest step length, the inverse of a lower bound of the Hessian.
    """
    size = root_mean_square(gradient)
    fell = size < (1 - FALL) * state.size
    age = torch.where(fell, 0.0, state.age + 1)
    change = state.gradient - gradient
    ratio = (state.gradient * change).flatten(1).sum(dim=1) / change.square().flatten(1).sum(dim=1)
    shortest = shortest.to(ratio).expand_as(ratio)
    length = (state.length * ratio).clamp_max(longest)
    length = torch.where((length > shortest) & (age < PATIENCE), length, shortest)
    point = state.point - per_image(length, gradient) * gradient
    return Descent(point, gradient, length, torch.where(fell, size, state.size), age)


def root_mean_square(x: Tensor) -> Tensor:
    """Return the root mean square of each image of ``(B, ...)``, ``(B,)``."""
    return x.square().flatten(1).mean(dim=1).sqrt()
