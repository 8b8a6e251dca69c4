r"""Plug-and-play ADMM with an exact augmented Lagrangian.

For ``min h(x) + phi(w)`` with ``x = w`` and ``h = tau f``, with the multiplier ``p`` and penalty 1 (the one for which
the learned prox is the prox),

    w = D(x - p),    x+ = argmin h + |. - (w + p)|^2/2,    p+ = p + w - x+.

The fit makes ``p+ = grad h(x+)``. Started there too, ADMM is Douglas-Rachford splitting without relaxation, and its
augmented Lagrangian ``h(x) + phi(w) + <p, w - x> + |w - x|^2/2`` is the envelope that descends (see `douglas_rachford`;
Themelis and Patrinos, SIAM J. Optim. 2020, section 5). The order matters: with the fit first and the denoising second
the multiplier belongs to ``phi``, and no descent is proven.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.douglas_rachford import SplittingState, check_stepsize, splitting_state, splitting_step
from gradprox.solvers.solver import Solver


@dataclass(frozen=True, kw_only=True)
class ADMM(Solver[SplittingState]):
    """Plug-and-play alternating direction method of multipliers, the denoising first.

    The strength of the prior is set by ``sigma`` (and tied to the step size), as in `PGD`. The objective is the
    augmented Lagrangian, which equals ``tau f + phi`` at fixed points.

    Attributes:
        stepsize: ``tau``, the inverse of the penalty on ``f``'s own scale; ``0.95/L_f`` if not given. Must be below
            ``1/L_f``.
    """

    stepsize: float | None = None

    def start(self, data: DataTerm, prior: LearnedProx, x: Tensor) -> SplittingState:
        """See `Solver.start`."""
        check_stepsize(self.stepsize, data)
        return splitting_state(data, prior, self.sigma, self.stepsize, x)

    def step(self, data: DataTerm, prior: LearnedProx, state: SplittingState) -> SplittingState:
        """See `Solver.step`."""
        return splitting_step(data, prior, self.sigma, self.stepsize, 1.0, state)
