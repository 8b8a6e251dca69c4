r"""The step that Douglas-Rachford splitting and ADMM share, with its exact envelope.

Both minimize ``F = h + phi``, ``h = tau f``, ``D = prox_phi``. Written with ``x = prox_h(s)``, hence
``s = x + grad h(x)``, a Douglas-Rachford step ``s+ = s + r (w - x)`` relaxed by ``r`` is

    w = D(x - grad h(x)),    x+ = argmin h + |. - s+|^2/2,    s+ = x + grad h(x) + r (w - x).

Its Lyapunov function (Themelis and Patrinos, SIAM J. Optim. 2020) is the Douglas-Rachford envelope

    E(x) = min_w h(x) + <grad h(x), w - x> + phi(w) + |w - x|^2/2 = h(x) - |grad h(x)|^2/2 + R(x - grad h(x)),

exact at every image, *because* the Moreau envelope ``R`` of ``phi`` is (see `gradprox.priors.learned_prox`).
``E <= F``, with equality at fixed points, and for ``tau < 1/L_f`` it has the infimum and the minimizers of ``F``. For
least squares with ``H = tau A^T A`` and ``d = x - x+``, and whatever ``phi``,

    E(x+) <= E(x) - <d, (I - H) ((I + H)/r - I/2) d>,

a descent for every ``tau < 1/L_f`` and ``0 < r < 2``. (Put ``w`` into the minimum that ``E(x+)`` is, and use
``(I + H) d = -r (w - x)``.)

Where the fit has no closed form, conjugate gradients leave an error that could hide a small descent. Then ``w`` itself
is the next image: ``E(w) <= F(w) <= E(x) - (1 - tau L_f)/2 |w - x|^2``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.priors import LearnedProx
from gradprox.solvers.data_term import DataTerm
from gradprox.solvers.solver import State, choose

# Of 1/L_f, if no step size is given: at 1/L_f itself the proven descent is zero.
DEFAULT_FRACTION = 0.95


@dataclass(frozen=True)
class SplittingState(State):
    """Where a splitting stands; the objective is ``E(x)``.

    Attributes:
        gradient: ``grad h(x)``.
        denoised: ``w = D(x - grad h(x))``.
    """

    gradient: Tensor
    denoised: Tensor


def check_stepsize(tau: float | None, data: DataTerm) -> None:
    """Refuse a step size for which descent is not proven.

    Raises:
        InputError: ``tau`` is given and not in the legal interval, which the message names.
    """
    limit = 1 / data.lipschitz
    if tau is not None and not 0 < tau < limit:
        raise InputError(
            f"splitting descends for step sizes between 0 and {limit:.6g}, 1/L_f, with this operator; got {tau:g}"
        )


def splitting_state(
    data: DataTerm, prior: LearnedProx, sigma: float, tau: float | None, x: Tensor
) -> SplittingState:
    """Return the state at ``x``."""
    tau = DEFAULT_FRACTION / data.lipschitz if tau is None else tau
    value, gradient = data.value_and_gradient(x)
    value, gradient = tau * value, tau * gradient
    denoised, regularizer = prior.denoise_with_energy(x - gradient, sigma)
    square = image_sum(gradient.square()) / 2
    return SplittingState(
        x, value - square + regularizer, value + square + regularizer.abs(), gradient, denoised
    )


def splitting_step(
    data: DataTerm,
    prior: LearnedProx,
    sigma: float,
    tau: float | None,
    relaxation: float,
    state: SplittingState,
) -> SplittingState:
    """Return the state after a step relaxed by ``relaxation``."""
    weight = data.lipschitz / DEFAULT_FRACTION if tau is None else 1 / tau
    target = state.x + state.gradient + relaxation * (state.denoised - state.x)
    new = splitting_state(data, prior, sigma, tau, data.fit(target, weight, state.x))
    worse = new.objective > state.objective
    if bool(worse.any()):
        new = choose(worse, splitting_state(data, prior, sigma, tau, state.denoised), new)
    return new
