r"""Plug-and-play ADMM with an exact augmented Lagrangian.

For ``min h(x) + phi(w)`` with ``x = w`` and ``h = tau f``, with the multiplier ``p`` and penalty 1, at which the prox
is the learned one,

    w = D(x - p),    x+ = argmin h + |. - (w + p)|^2/2,    p+ = p + w - x+.

After the fit, ``p+ = grad h(x+)``. If the first multiplier has this form too, ADMM is Douglas-Rachford splitting
without relaxation. Its augmented Lagrangian ``h(x) + phi(w) + <p, w - x> + |w - x|^2/2`` is then the envelope that
descends (see `douglas_rachford`; Themelis and Patrinos, SIAM J. Optim. 2020, section 5). The order matters: with the
fit first and the denoising second, the multiplier belongs to ``phi``, and no descent is proven.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.douglas_rachford import SplittingState, check_stepsize, splitting_state, splitting_step
from gradprox.solvers.named_settings import named_settings
from gradprox.solvers.settings import check_positive
from gradprox.solvers.solver import Solver


@named_settings
@dataclass(frozen=True, kw_only=True)
class ADMM(Solver[SplittingState]):
    """Plug-and-play alternating direction method of multipliers, the denoising first.

    As in `PGD`, ``sigma`` sets the strength of the prior, and the step size acts on it too. The objective is the
    augmented Lagrangian, and equals ``tau f + phi`` at fixed points.

    Attributes:
        stepsize: ``tau``, the inverse of the penalty if ``f`` is not rescaled; ``0.95/L_f`` if not given. Must be below
            ``1/L_f``.
    """

    stepsize: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stepsize is not None:
            check_positive("stepsize", self.stepsize)

    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> SplittingState:
        """See `Solver.start`."""
        check_stepsize(self.stepsize, data)
        return splitting_state(data, prior, self.sigma, self.stepsize, x)

    def step(self, data: DataTerm, prior: Prior, state: SplittingState) -> SplittingState:
        """See `Solver.step`."""
        return splitting_step(data, prior, self.sigma, self.stepsize, 1.0, state)
