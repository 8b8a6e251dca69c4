"""A learned prox as a `deepinv.optim.Prior`, for deepinv's own solvers.

deepinv's plug-and-play prior, ``deepinv.optim.PnP(denoiser=D)``, takes a `LearnedProx` unchanged but knows no
function behind it. These two priors do.
"""

from __future__ import annotations

from deepinv.optim import Prior
from torch import Tensor

from gradprox.priors.learned_prox import LearnedProx, Sigma


class GradientStepPrior(Prior):
    """The explicit regularizer ``R``, with ``grad R(x) = x - D(x)``: for gradient descent.

    Args:
        operator: the learned prox.
    """

    def __init__(self, operator: LearnedProx) -> None:
        super().__init__()
        self.operator = operator
        self.explicit_prior = True

    def fn(self, x: Tensor, sigma_denoiser: Sigma, *_: object, **__: object) -> Tensor:
        """Return ``R(x)``, ``(B,)``."""
        return self.operator.regularizer(x, sigma_denoiser)

    def grad(self, x: Tensor, sigma_denoiser: Sigma, *_: object, **__: object) -> Tensor:
        """Return ``x - D(x)``."""
        return self.operator.regularizer_grad(x, sigma_denoiser)

    def prox(self, *_: object, **__: object) -> Tensor:
        """Raise: ``D`` is the prox of ``phi``, whose envelope ``R`` is."""
        raise ValueError("the gradient-step prior has no closed-form prox: use ProximalPrior, or GD")


class ProximalPrior(Prior):
    """The function ``phi`` whose prox is ``D``: for proximal solvers with ``lambda * stepsize = 1``.

    Args:
        operator: the learned prox.
    """

    def __init__(self, operator: LearnedProx) -> None:
        super().__init__()
        self.operator = operator
        self.explicit_prior = False  # so that deepinv does not ask for `fn`

    def fn(self, *_: object, **__: object) -> Tensor:
        """Raise: ``phi`` is known at outputs of ``D`` only."""
        raise ValueError(
            "phi is known at outputs of D only, as D.value(y, sigma) at D(y): GradientStepPrior has a value everywhere"
        )

    def prox(self, x: Tensor, sigma_denoiser: Sigma, *_: object, gamma: float = 1.0, **__: object) -> Tensor:
        """Return ``D(x)``.

        Raises:
            ValueError: ``gamma`` is not 1. A learned prox stands for one function and cannot be rescaled.
        """
        if float(gamma) != 1.0:
            raise ValueError(
                f"this is the prox of phi, not of {float(gamma):g} phi: choose lambda * stepsize = 1 and change "
                "the strength by sigma, or use deepinv.optim.PnP, which ignores gamma"
            )
        return self.operator(x, sigma_denoiser)
