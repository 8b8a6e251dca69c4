r"""The step that Douglas-Rachford splitting and ADMM share, with its exact envelope.

Both minimize ``F = h + phi`` with ``h = tau f`` and ``D = prox_phi``. Written with ``x = prox_h(s)``, hence
``s = x + grad h(x)``, a Douglas-Rachford step ``s+ = s + r (w - x)`` relaxed by ``r`` is

    w = D(x - grad h(x)),    x+ = argmin h + |. - s+|^2/2,    s+ = x + grad h(x) + r (w - x).

Its Lyapunov function (Themelis and Patrinos, SIAM J. Optim. 2020) is the Douglas-Rachford envelope

    E(x) = min_w h(x) + <grad h(x), w - x> + phi(w) + |w - x|^2/2 = h(x) - |grad h(x)|^2/2 + R(x - grad h(x)),

exact at every image, *because* the Moreau envelope ``R`` of ``phi`` is (see `gradprox.priors.learned_prox`).
``E <= F``, with equality at fixed points, and for ``tau < 1/L_f`` it has the infimum and the minimizers of ``F``. For
least squares with ``H = tau A^T A`` and ``d = x - x+``, and for every ``phi``,

    E(x+) <= E(x) - <d, (I - H) ((I + H)/r - I/2) d>,

a descent for every ``tau < 1/L_f`` and ``0 < r < 2``. (Proof: insert ``w`` in the minimum that defines ``E(x+)``, and
use ``(I + H) d = -r (w - x)``.)

Where the fit has no closed form, conjugate gradients leave an error that could exceed a small descent. In that case the
next image is ``w``: ``E(w) <= F(w) <= E(x) - (1 - tau L_f)/2 |w - x|^2``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.priors.contract import Prior
from gradprox.solvers.data_term import DataTerm, quadratic
from gradprox.solvers.rounding import SUM, energy_rounding
from gradprox.solvers.state import State, choose

# The default step size as a part of 1/L_f: at 1/L_f itself the proven descent is zero.
DEFAULT_FRACTION = 0.95


@dataclass(frozen=True)
class SplittingState(State):
    """The state of a splitting; its objective is ``E(x)``.

    Attributes:
        gradient: ``grad h(x)``.
        denoised: ``w = D(x - grad h(x))``.
    """

    gradient: Tensor
    denoised: Tensor


def check_stepsize(tau: float | None, data: DataTerm) -> None:
    """Refuse a step size for which no descent is proven.

    Raises:
        InputError: ``tau`` is given and not in the legal interval, which the message states.
    """
    limit = 1 / data.lipschitz
    if tau is not None and not 0 < tau < limit:
        raise InputError(
            f"stepsize must be between 0 and {limit:.6g}, which is 1/L_f for this operator, so that each step "
            f"descends; got {tau:g}"
        )


def splitting_state(
    data: DataTerm, prior: Prior, sigma: float, tau: float | None, x: Tensor
) -> SplittingState:
    """Return the state at ``x``."""
    tau = DEFAULT_FRACTION / data.lipschitz if tau is None else tau
    value, gradient = data.value_and_gradient(x)
    value, gradient = tau * value, tau * gradient
    shifted = x - gradient
    denoised, energy = prior.denoise_with_energy(shifted, sigma)
    square = image_sum(gradient.square()) / 2
    # The error of the gradient moves |grad h|^2/2 by no more than that of the residual moves h.
    rounding = (
        2 * tau * data.rounding(x, value / tau)
        + SUM * torch.finfo(x.dtype).eps * square
        + energy_rounding(shifted, shifted - denoised, energy, sigma)
    )
    return SplittingState(x, value - square + energy, rounding, gradient, denoised)


def splitting_step(
    data: DataTerm,
    prior: Prior,
    sigma: float,
    tau: float | None,
    relaxation: float,
    state: SplittingState,
) -> SplittingState:
    """Return the state after a step relaxed by ``relaxation``."""
    weight = data.lipschitz / DEFAULT_FRACTION if tau is None else 1 / tau
    target = state.x + state.gradient + relaxation * (state.denoised - state.x)
    new = splitting_state(data, prior, sigma, tau, quadratic(data).fit(target, weight, state.x))
    worse = new.objective > state.objective
    if bool(worse.any()):
        new = choose(worse, splitting_state(data, prior, sigma, tau, state.denoised), new)
    return new
