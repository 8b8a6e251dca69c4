r"""Gradient descent on an explicit objective: the gradient-step denoiser with a free weight.

``R(x) = |x|^2/2 - Phi(x)`` has the gradient ``x - D(x)``, and, *because* ``D`` is monotone, a Hessian
``I - J_D <= I``. So ``F = f + lambda R`` has curvature at most ``L_f + lambda`` upwards, whatever ``D``, and

    F(x+) <= F(x) - eta (1 - eta (L_f + lambda)/2) |grad F(x)|^2,

a descent for every step ``eta < 2/(L_f + lambda)``. Projected onto a box, ``F(x+) <= F(x) - (1/eta - (L_f +
lambda)/2) |x+ - x|^2``: the same steps are legal.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.smooth_objective import (
    Box,
    SmoothState,
    check_box,
    check_lambda_reg,
    project,
    smooth_state,
)
from gradprox.solvers.solver import Solver


@dataclass(frozen=True, kw_only=True)
class GD(Solver[SmoothState]):
    """Gradient descent: ``x+ = x - eta (grad f(x) + lambda (x - D(x)))``, projected onto the box if there is one.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer, free of the step size.
        stepsize: ``eta``; ``1/(L_f + lambda)`` if not given. Must be below ``2/(L_f + lambda)``.
        box: the range of pixels, as ``(0, 1)``; any value if not given.

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

    lambda_reg: float = 1.0
    stepsize: float | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lambda_reg(self.lambda_reg)
        check_box(self.box)

    def start(self, data: DataTerm, prior: LearnedProx, x: Tensor) -> SmoothState:
        """See `Solver.start`."""
        limit = 2 / (data.lipschitz + self.lambda_reg)
        if self.stepsize is not None and not 0 < self.stepsize < limit:
            raise InputError(
                f"GD descends for step sizes between 0 and {limit:.6g}, 2/(L_f + lambda_reg), with this operator; "
                f"got {self.stepsize:g}"
            )
        return smooth_state(data, prior, self.sigma, self.lambda_reg, project(x, self.box))

    def step(self, data: DataTerm, prior: LearnedProx, state: SmoothState) -> SmoothState:
        """See `Solver.step`."""
        eta = 1 / (data.lipschitz + self.lambda_reg) if self.stepsize is None else self.stepsize
        x = project(state.x - eta * state.gradient, self.box)
        return smooth_state(data, prior, self.sigma, self.lambda_reg, x)
