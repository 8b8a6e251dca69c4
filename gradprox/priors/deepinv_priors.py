"""Priors of gradprox as `deepinv.optim.Prior`, for deepinv's own solvers.

deepinv's plug-and-play prior, ``deepinv.optim.PnP(denoiser=D)``, takes every prior of gradprox unchanged, but knows no
function behind it. The two priors here do.
"""

from __future__ import annotations

from deepinv import optim
from torch import Tensor

from gradprox.errors import InputError
from gradprox.priors.contract import Prior, Sigma


class GradientStepPrior(optim.Prior):
    """The explicit regularizer ``R``, with ``grad R(x) = x - D(x)``: for gradient descent.

    Args:
        prior: a `gradprox.priors.LearnedProx` or a `gradprox.priors.GradientStepDenoiser`.
    """

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior
        self.explicit_prior = True

    def fn(self, x: Tensor, sigma_denoiser: Sigma, *_: object, **__: object) -> Tensor:
        """Return ``R(x)``, ``(B,)``."""
        return self.prior.regularizer(x, sigma_denoiser)

    def grad(self, x: Tensor, sigma_denoiser: Sigma, *_: object, **__: object) -> Tensor:
        """Return ``x - D(x)``."""
        return self.prior.regularizer_grad(x, sigma_denoiser)

    def prox(self, *_: object, **__: object) -> Tensor:
        """Raise: the prox of ``R`` has no closed form."""
        raise ValueError(
            "the prox of the gradient-step prior has no closed form: use ProximalPrior, or gradient descent"
        )


class ProximalPrior(optim.Prior):
    """The function ``phi`` whose prox is ``D``: for proximal solvers with ``lambda * stepsize = 1``.

    Args:
        prior: a `gradprox.priors.LearnedProx`.

    Raises:
        InputError: the prior is no proximal operator.
    """

    def __init__(self, prior: Prior) -> None:
        if not prior.is_prox:
            raise InputError(
                f"{prior.name} is not a proximal operator, because its network is not monotone: use GradientStepPrior"
            )
        super().__init__()
        self.prior = prior
        self.explicit_prior = False  # otherwise deepinv asks for `fn`

    def fn(self, *_: object, **__: object) -> Tensor:
        """Raise: ``phi`` is known at outputs of ``D`` only."""
        raise ValueError(
            "phi is known only at outputs of D, where D.value(y, sigma) returns it: use GradientStepPrior, which has a "
            "value everywhere"
        )

    def prox(self, x: Tensor, sigma_denoiser: Sigma, *_: object, gamma: float = 1.0, **__: object) -> Tensor:
        """Return ``D(x)``.

        Raises:
            ValueError: ``gamma`` is not 1. A learned prox belongs to one function and cannot be rescaled.
        """
        if float(gamma) != 1.0:
            raise ValueError(
                f"this is the prox of phi, not of {float(gamma):g} phi: choose lambda * stepsize = 1 and change "
                "the strength by sigma, or use deepinv.optim.PnP, which ignores gamma"
            )
        return self.prior(x, sigma_denoiser)
