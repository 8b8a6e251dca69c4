r"""Continuation: one step of half-quadratic splitting at each of several falling noise levels.

    z = D(x + m (x - x_before), sigma_k),    x+ = argmin f + lambda_k |. - z|^2/2,
    lambda_k = lambda_reg (sigma/sigma_k)^2,

with ``sigma_k`` falling geometrically from ``first_sigma`` to just above ``sigma``. Bayes' rule gives ``lambda_k``: it
falls with the square of the noise that the prior assumes. The momentum ``m`` carries each image on in the direction of
its last change, so that fewer noise levels lead as far. With ``self_ensemble``, each step denoises another mirror image
(Zhang et al., IEEE Trans. Pattern Anal. Mach. Intell. 2022): errors that a model makes in one orientation only do not
add up.

Without momentum, every step is a step of `gradprox.solvers.hqs.HQS`, with the regularizer of the mirror image where one
is denoised. Where ``D`` is a prox, it provably lowers ``f + lambda_k R_k``. But each step belongs to another function,
so there is no objective that all of them lower. None is computed, because that would take a second pass of the model in
every step. With momentum, or where the prior has an explicit energy only, a step is taken in full, without a test. A
continuation is a start: a preset (`gradprox.solvers.presets`) then descends the last function, and computes its
objective.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm, FittedDataTerm, fitted
from gradprox.solvers.mixed_precision import mixed_precision
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.scheduled_hqs import ScheduledState
from gradprox.solvers.settings import check_positive, number
from gradprox.solvers.solver import Solver
from gradprox.status import Status

Value = TypeVar("Value", float, Tensor)


@dataclass(frozen=True)
class ContinuationState(ScheduledState):
    """The state between two noise levels.

    Attributes:
        before: the images one step earlier, ``(B, C, H, W)``.
    """

    before: Tensor


@named_settings
@dataclass(frozen=True, kw_only=True)
class Continuation(Solver[ContinuationState]):
    """Half-quadratic splitting whose noise level falls from ``first_sigma`` to just above ``sigma``.

    Attributes:
        sigma: the noise level that a next step would have.
        first_sigma: the noise level of the first step, above ``sigma``.
        lambda_reg: weight of the regularizer at ``sigma``.
        momentum: the share ``m`` of the last change of an image that is added before it is denoised, in [0, 1).
        self_ensemble: whether the images are denoised as they are, mirrored left to right, mirrored both ways, and
            mirrored top to bottom, in turn.
        max_iter: number of steps, each at another noise level.
        tol: 0 unless an image may stop before the last level.
        mixed_precision: compute the passes of the prior in bfloat16 where it tolerates that and the device gains by it,
            see `gradprox.solvers.mixed_precision`. The image changes by a few hundredths of a gray level of 255.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(torch.rand(1, 1, 24, 20))
        >>> start = Continuation(sigma=0.02, lambda_reg=0.1, max_iter=4)
        >>> [round(start.level(k), 3) for k in range(4)]
        [0.196, 0.111, 0.063, 0.035]
        >>> result = start(y, physics, load_model("gray-fast"))
        >>> result.status[0].value, result.certified
        ('schedule_done', False)
    """

    certified = False
    needs_prox = False
    needs_norm = False
    data_terms = FittedDataTerm
    out_of_steps = Status.SCHEDULE_DONE

    first_sigma: float = 50 / 255
    lambda_reg: float = 1.0
    momentum: float = 0.0
    self_ensemble: bool = False
    max_iter: int = 16
    tol: float = 0.0
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lambda_reg", self.lambda_reg)
        if not self.sigma < number("first_sigma", self.first_sigma) < float("inf"):
            raise InputError(f"first_sigma must be above sigma, {self.sigma:g}, got {self.first_sigma:g}")
        if not 0 <= number("momentum", self.momentum) < 1:
            raise InputError(f"momentum must be in [0, 1), got {self.momentum:g}")

    def level(self, done: int) -> float:
        """Return the noise level of the step after ``done`` steps."""
        return falling_level(self.first_sigma, self.sigma, done / self.max_iter)

    def weight(self, level: float) -> float:
        """Return the weight of the regularizer at a noise level."""
        return falling_weight(self.lambda_reg, self.sigma, level)

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> ContinuationState:  # noqa: ARG002
        """See `Solver.start`."""
        return ContinuationState(**vars(ScheduledState.first(data, x)), before=x)

    def step(self, data: DataTerm, prior: Prior, state: ContinuationState) -> ContinuationState:
        """See `Solver.step`."""
        done = int(state.number[0])
        level, turn = self.level(done), done if self.self_ensemble else 0
        ahead = mirrored(carried_on(state.x, state.before, self.momentum), turn)
        with mixed_precision(prior, state.x) if self.mixed_precision else nullcontext():
            denoised = mirrored(prior(ahead, level), turn)
        x = fitted(data).fit(denoised, self.weight(level), state.x)
        return ContinuationState(x, state.objective, state.rounding, state.number + 1, before=state.x)


def carried_on(x: Tensor, before: Tensor, momentum: float) -> Tensor:
    """Return images moved on by this share of their last change, from ``before`` to ``x``."""
    return x + momentum * (x - before)


def mirrored(images: Tensor, step: int | Tensor) -> Tensor:
    """Return the mirror images that a step denoises; a second call returns the images themselves.

    Args:
        images: ``(B, C, H, W)``.
        step: number of the step from 0; a scalar in an exported solver.
    """
    # In turn: as they are, mirrored left to right, both ways, top to bottom.
    for axis, mirror in ((-1, (step + 1) // 2 % 2), (-2, step // 2 % 2)):
        if isinstance(mirror, int) and not mirror:
            continue  # without a copy
        length = images.shape[axis]
        places = torch.arange(length, device=images.device)
        images = images.index_select(axis, mirror * (length - 1) + (1 - 2 * mirror) * places)
    return images


def falling_level(first_sigma: float, sigma: Value, share: Value) -> Value:
    """Return the noise level after this share of the steps; numbers, or tensors in an exported solver."""
    return first_sigma * (sigma / first_sigma) ** share


def falling_weight(lambda_reg: Value, sigma: Value, level: Value) -> Value:
    """Return the weight at a noise level by Bayes' rule, where ``lambda_reg`` is that at ``sigma``."""
    return lambda_reg * (sigma / level) ** 2
