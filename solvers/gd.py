r"""Gradient descent on an explicit objective: the gradient-step denoiser with a free weight.

``R(x) = |x|^2/2 - Phi(x)`` has the gradient ``x - D(x)`` and the Hessian ``I - J_D``. Its eigenvalues are at most
``c``: ``c = 1`` for a monotone ``D``, and ``c = 1 + L`` for an ``L``-Lipschitz ``D`` that is not monotone. So ``F = f +
lambda R`` has curvature at most ``L_f + lambda c``, and

    F(x+) <= F(x) - eta (1 - eta (L_f + lambda c)/2) |grad F(x)|^2,

a descent for every step ``eta < 2/(L_f + lambda c)``. Projected onto a box, ``F(x+) <= F(x) - (1/eta - (L_f +
lambda c)/2) |x+ - x|^2``: the same steps are legal.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.capabilities import curvature
from gradprox.solvers.data_term import Box, DataTerm
from gradprox.solvers.settings import check_box, check_positive
from gradprox.solvers.smooth_objective import Scalar, SmoothState, project, smooth_state
from gradprox.solvers.solver import Solver


@dataclass(frozen=True, kw_only=True)
class GD(Solver[SmoothState]):
    """Gradient descent: ``x+ = x - eta (grad f(x) + lambda (x - D(x)))``, projected onto the box if there is one.

    It takes any prior with an explicit energy, a prox or not.

    Attributes:
        lambda_reg: ``lambda``, the weight of the regularizer, free of the step size.
        stepsize: ``eta``; ``1/(L_f + lambda c)`` if not given. Must be below ``2/(L_f + lambda c)``.
        box: the range of pixels, for example ``(0, 1)``; all values if not given.

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

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> SmoothState:
        """See `Solver.start`."""
        limit = 2 / self._curvature(data, prior)
        if self.stepsize is not None and not self.stepsize < limit:
            raise InputError(
                f"stepsize: GD descends for step sizes between 0 and {limit:.6g}, 2/(L_f + lambda_reg c), with this "
                f"prior and this operator; got {self.stepsize:g}"
            )
        return smooth_state(data, prior, self.sigma, self.lambda_reg, project(x, self.box))

    def step(self, data: DataTerm, prior: Prior, state: SmoothState) -> SmoothState:
        """See `Solver.step`."""
        eta = 1 / self._curvature(data, prior) if self.stepsize is None else self.stepsize
        return descend(data, prior, self.sigma, self.lambda_reg, eta, state.x, state.gradient, self.box)

    def _curvature(self, data: DataTerm, prior: Prior) -> float:
        return data.lipschitz + self.lambda_reg * curvature(prior, "GD")


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
