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

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.line_search import Found, SearchedState, longer
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.scalar import Scalar
from gradprox.solvers.settings import check_box, check_positive
from gradprox.solvers.smooth_objective import SmoothState, project, search, smooth_state, step_length
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import choose


@dataclass(frozen=True)
class GDState(SmoothState, SearchedState):
    """The state of gradient descent; its full step size is `step_length`, or ``stepsize``."""

    @classmethod
    def first(cls, point: SmoothState) -> GDState:
        """Return the state before the first step."""
        one = torch.ones_like(point.objective)
        return cls(**vars(point), fraction=one, stalled=torch.zeros_like(one, dtype=torch.bool))

    def followed_by(self, found: Found[SmoothState], full: Scalar) -> GDState:
        """Return the state after a search from a ``full`` step on; images without an acceptable step stay."""
        here = SmoothState(self.x, self.objective, self.rounding, self.gradient)
        new = choose(found.accepted, found.state, here)
        return GDState(**vars(new), fraction=found.length / full, stalled=~found.accepted)


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
        return GDState.first(smooth_state(data, prior, self.sigma, self.lambda_reg, project(x, self.box)))

    def step(self, data: DataTerm, prior: Prior, state: GDState) -> GDState:
        """See `Solver.step`."""
        first = self.stepsize or step_length(data.lipschitz, prior.curvature_bound(), self.lambda_reg)
        # A proven step size needs no search.
        proven = first if math.isfinite(self._curvature(data, prior)) else 0.0
        found = search(
            *(data, prior, self.sigma, self.lambda_reg, state, first * longer(state.fraction)),
            state.objective,
            box=self.box,
            proven=proven,
        )
        return state.followed_by(found, first)

    def _curvature(self, data: DataTerm, prior: Prior) -> float:
        return data.lipschitz + self.lambda_reg * prior.curvature_bound()
