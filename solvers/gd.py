r"""Gradient descent on an explicit objective: the gradient-step denoiser with a free weight.

``R(x) = |x|^2/2 - Phi(x)`` has the gradient ``x - D(x)`` and the Hessian ``I - J_D``. Its eigenvalues are at most
``c``: ``c = 1`` for a monotone ``D``, and ``c = 1 + L`` for an ``L``-Lipschitz ``D`` that is not monotone. So ``F = f +
lambda R`` has curvature at most ``L_f + lambda c``, and

    F(x+) <= F(x) - eta (1 - eta (L_f + lambda c)/2) |grad F(x)|^2,

a descent for every step size ``eta < 2/(L_f + lambda c)``. With a projection onto a box, ``F(x+) <= F(x) - (1/eta -
(L_f + lambda c)/2) |x+ - x|^2``, so the same step sizes are allowed.

Where no ``c`` is proven, a line search halves ``eta`` in each step until ``F(x+) <= F(x) - delta |x+ - x|^2/eta``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image
from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.line_search import DELTA, SHRINK, SLACK, SearchedState, backtrack
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_box, check_positive
from gradprox.solvers.smooth_objective import Scalar, SmoothState, natural_length, project, smooth_state
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import choose


@dataclass(frozen=True)
class GDState(SmoothState, SearchedState):
    """The state of gradient descent; its full step size is `natural_length`, or ``stepsize``."""


@named_settings
@dataclass(frozen=True, kw_only=True)
class GD(Solver[GDState]):
    """Gradient descent: ``x+ = x - eta (grad f(x) + lambda (x - D(x)))``, projected onto the box if there is one.

    It takes any prior with an explicit energy, a prox or not.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer, independent of the step size.
        stepsize: ``eta``; ``1/(L_f + lambda c)`` if not given. It must be below ``2/(L_f + lambda c)``. Where no ``c``
            is proven, it is the largest step size of the search, and ``1/(L_f + lambda)`` if not given.
        box: the range of pixel values, for example ``(0, 1)``; unbounded if not given.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(torch.rand(1, 1, 24, 20))
        >>> result = GD(sigma=0.05, lambda_reg=0.1, max_iter=5)(y, physics, load_model("gray-fast"))
        >>> result.x.shape, int(result.objective_increases[0])
        (torch.Size([1, 1, 24, 20]), 0)
    """

    needs_prox = False

    lambda_reg: float = 1.0
    stepsize: float | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("lambda_reg", self.lambda_reg)
        check_box(self.box)
        if self.stepsize is not None:
            check_positive("stepsize", self.stepsize)

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> GDState:
        """See `Solver.start`."""
        curvature = self._curvature(data, prior)
        if self.stepsize is not None and math.isfinite(curvature) and not self.stepsize < 2 / curvature:
            raise InputError(
                f"stepsize must be between 0 and {2 / curvature:.6g}, which is 2/(L_f + lambda_reg c) for this prior "
                f"and this operator, so that each step descends; got {self.stepsize:g}"
            )
        first = smooth_state(data, prior, self.sigma, self.lambda_reg, project(x, self.box))
        return GDState(
            **vars(first),
            fraction=torch.ones_like(first.objective),
            stalled=torch.zeros_like(first.objective, dtype=torch.bool),
        )

    def step(self, data: DataTerm, prior: Prior, state: GDState) -> GDState:
        """See `Solver.step`."""
        first = self.stepsize or natural_length(data, prior, self.lambda_reg)
        searched = not math.isfinite(self._curvature(data, prior))

        def attempt(length: Tensor) -> tuple[SmoothState, Tensor]:
            step = per_image(length, state.x)
            new = descend(data, prior, self.sigma, self.lambda_reg, step, state.x, state.gradient, self.box)
            descent = DELTA * image_sum((new.x - state.x).square()) / length
            return new, state.objective - descent + SLACK * (state.rounding + new.rounding)

        length = first * (state.fraction / SHRINK).clamp_max(1.0)
        # A proven step size needs no search.
        found = backtrack(attempt, length, 0.0 if searched else first)
        here = SmoothState(state.x, state.objective, state.rounding, state.gradient)
        new = choose(found.accepted, found.state, here)
        return GDState(**vars(new), fraction=found.length / first, stalled=~found.accepted)

    def _curvature(self, data: DataTerm, prior: Prior) -> float:
        return data.lipschitz + self.lambda_reg * prior.curvature_bound()


def descend(
    data: DataTerm,
    prior: Prior,
    sigma: Scalar,
    lambda_reg: Scalar,
    stepsize: Scalar,
    x: Tensor,
    gradient: Tensor,
    box: Box | None = None,
) -> SmoothState:
    """Return the state after one gradient step from ``x``, projected onto the box if there is one."""
    return smooth_state(data, prior, sigma, lambda_reg, project(x - stepsize * gradient, box))
