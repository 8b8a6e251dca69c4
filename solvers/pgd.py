"""Plug-and-play proximal gradient descent with an exact objective (see `forward_backward` for its proof)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.forward_backward import (
    ForwardBackwardState,
    check_stepsize,
    forward_backward,
    starting_state,
)
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_positive
from gradprox.solvers.solver import Solver


@named_settings
@dataclass(frozen=True, kw_only=True)
class PGD(Solver[ForwardBackwardState]):
    """Plug-and-play proximal gradient descent: ``x+ = D(x - tau grad f(x))``.

    The prox belongs to one function ``phi``, which cannot be rescaled. So ``sigma`` sets the strength of the prior. The
    objective is ``tau f + phi``: the step size acts on the balance too.

    Attributes:
        stepsize: ``tau``; ``1/L_f`` if not given. Must be below ``(2 - m)/L_f``.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> y = physics(torch.rand(1, 1, 24, 20))
        >>> result = PGD(sigma=0.02, max_iter=5)(y, physics, load_model("gray-fast"))
        >>> result.x.shape, int(result.objective_increases[0])
        (torch.Size([1, 1, 24, 20]), 0)
    """

    stepsize: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stepsize is not None:
            check_positive("stepsize", self.stepsize)

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> ForwardBackwardState:
        """See `Solver.start`."""
        check_stepsize(self.stepsize, data, prior, "PGD")
        return starting_state(data, x)

    def step(self, data: DataTerm, prior: Prior, state: ForwardBackwardState) -> ForwardBackwardState:
        """See `Solver.step`."""
        return forward_backward(data, prior, self.sigma, self.stepsize, state.x, state.gradient)
