r"""Gradient descent on an explicit objective: the gradient-step denoiser with a free weight.

``R(x) = |x|^2/2 - Phi(x)`` has the gradient ``x - D(x)``, and, *because* ``D`` is monotone, a Hessian
``I - J_D <= I``. So ``F = f + lambda R`` has curvature at most ``L_f + lambda`` upwards, whatever ``D``, and

    F(x+) <= F(x) - eta (1 - eta (L_f + lambda)/2) |grad F(x)|^2,

a descent for every step ``eta < 2/(L_f + lambda)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.errors import InputError
from gradprox.operators import LearnedProx
from gradprox.solvers.least_squares import LeastSquares
from gradprox.solvers.solver import Solver, State


@dataclass(frozen=True)
class GDState(State):
    """Where gradient descent stands.

    Attributes:
        gradient: gradient of the whole objective at ``x``.
    """

    gradient: Tensor


@dataclass(frozen=True, kw_only=True)
class GD(Solver[GDState]):
    """Gradient descent: ``x+ = x - eta (grad f(x) + lambda (x - D(x)))``.

    Attributes:
        strength: ``lambda``, the weight of the prior, free of the step size.
        stepsize: ``eta``; ``1/(L_f + lambda)`` if not given. Must be below ``2/(L_f + lambda)``.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.problems import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(torch.rand(1, 1, 24, 20))
        >>> result = GD(sigma=0.05, strength=0.1, max_steps=5)(y, physics, load_model("gray"))
        >>> result.x.shape, int(result.objective_increases[0])
        (torch.Size([1, 1, 24, 20]), 0)
    """

    strength: float = 1.0
    stepsize: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength < float("inf"):
            raise InputError(f"strength must be positive, got {self.strength:g}")

    def start(self, data: LeastSquares, prior: LearnedProx, x: Tensor) -> GDState:
        """See `Solver.start`."""
        limit = 2 / (data.lipschitz + self.strength)
        if self.stepsize is not None and not 0 < self.stepsize < limit:
            raise InputError(
                f"GD descends for step sizes between 0 and {limit:.6g}, 2/(L_f + strength), with this operator; "
                f"got {self.stepsize:g}"
            )
        return self._state(data, prior, x)

    def step(self, data: LeastSquares, prior: LearnedProx, state: GDState) -> GDState:
        """See `Solver.step`."""
        eta = 1 / (data.lipschitz + self.strength) if self.stepsize is None else self.stepsize
        return self._state(data, prior, state.x - eta * state.gradient)

    def _state(self, data: LeastSquares, prior: LearnedProx, x: Tensor) -> GDState:
        value, gradient = data.value_and_gradient(x)
        denoised, regularizer = prior.prox_and_envelope(x, self.sigma)
        return GDState(
            x,
            value + self.strength * regularizer,
            value + self.strength * regularizer.abs(),
            gradient + self.strength * (x - denoised),
        )
