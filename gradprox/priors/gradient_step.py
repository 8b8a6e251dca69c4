"""Any gradient network as a gradient-step denoiser: an explicit energy, and no prox.

``D = grad Phi`` gives the energy ``R(x) = |x|^2/2 - Phi(x)`` with ``D(x) = x - grad R(x)`` (Hurault, Leclaire and
Papadakis, ICLR 2022). ``Phi`` need not be convex, so ``D`` need not be monotone and may be no proximal operator.
Solvers that descend ``f + lambda_reg R`` need only ``R`` and its gradient.
"""

from __future__ import annotations

from gradprox.networks import GradientNetwork
from gradprox.priors.learned_prox import LearnedProx
from gradprox.priors.network_prior import NetworkPrior


class GradientStepDenoiser(NetworkPrior):
    """A denoiser ``D(x) = x - grad R(x)`` with an explicit energy ``R``; also a `deepinv.models.Denoiser`.

    Solvers that descend ``f + lambda_reg R`` take it: `gradprox.solvers.HQS`, `GD` and `NMAPG`. Proximal
    solvers do not, even where the network is monotone: for these there is `LearnedProx`.

    Args:
        network: any gradient network, monotone or not.
        name: the name in messages and reports.

    Example:
        >>> import torch
        >>> from gradprox.networks import GradNetM
        >>> D = GradientStepDenoiser(GradNetM.conv(1, 4, 3))
        >>> x = torch.rand(2, 1, 12, 10)
        >>> D.regularizer(x, 0.1).shape, D.is_prox
        (torch.Size([2]), False)
        >>> torch.allclose(x - D.regularizer_grad(x, 0.1), D(x, 0.1), atol=1e-6)
        True
    """

    is_prox = False


def prior_of(network: GradientNetwork, name: str = "unnamed") -> LearnedProx | GradientStepDenoiser:
    """Return the strongest prior that a network is by construction: a prox where it is monotone."""
    return LearnedProx(network, name) if network.monotone else GradientStepDenoiser(network, name)
