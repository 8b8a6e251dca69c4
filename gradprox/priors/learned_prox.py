r"""A monotone gradient network as a proximal operator, with the exact value of its function.

Write ``D = grad Phi`` with ``Phi`` convex, ``x = D(y)``, and

    R(y) = |y|^2/2 - Phi(y).

Then ``D`` is the prox of a function ``phi`` (Gribonval and Nikolova, J. Math. Imaging Vis. 2020) with
``phi(x) = <y, x> - |x|^2/2 - Phi(y) = R(y) - |y - x|^2/2``: ``R`` is the Moreau envelope of ``phi``. It is also
the explicit regularizer of the gradient-step form, ``grad R(y) = y - D(y)``. If ``D`` is ``L``-Lipschitz,
``phi`` is ``(1 - 1/L)``-weakly convex (convex when ``L <= 1``).
"""

from __future__ import annotations

from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.networks import GradientNetwork
from gradprox.priors.contract import Sigma
from gradprox.priors.network_prior import NetworkPrior


class LearnedProx(NetworkPrior):
    """A learned proximal operator ``D(y, sigma)``; also a `deepinv.models.Denoiser`.

    Images are ``(B, C, H, W)`` tensors on the scale ``[0, 1]``; values outside are legal, and nothing is clipped. A
    network of one channel treats the channels of an image one by one. That is again a prox, of a sum over the channels.
    A network without noise conditioning ignores ``sigma``.

    Args:
        network: a monotone gradient network.
        name: the name in messages and reports.

    Raises:
        InputError: the network is not monotone, so it is no proximal operator.

    Example:
        >>> import torch
        >>> from gradprox.networks import IdentityPath, IdentityPathConfig
        >>> D = LearnedProx(IdentityPath(IdentityPathConfig(kernel_size=4)).double())
        >>> y = torch.rand(2, 1, 12, 10, dtype=torch.float64)
        >>> D(y, 0.1).shape, D.value(y, 0.1).shape
        (torch.Size([2, 1, 12, 10]), torch.Size([2]))

        ``D`` is the gradient of its potential:

        >>> y = y.requires_grad_()
        >>> (gradient,) = torch.autograd.grad(D.potential(y, 0.1).sum(), y)
        >>> torch.allclose(gradient, D(y, 0.1))
        True
    """

    is_prox = True

    def __init__(self, network: GradientNetwork, name: str = "unnamed") -> None:
        if not network.monotone:
            raise InputError(
                f"{type(network).__name__} is not monotone, and the gradient of a nonconvex potential is not a "
                "prox: use GradientStepDenoiser"
            )
        super().__init__(network, name)

    def value(self, y: Tensor, sigma: Sigma) -> Tensor:
        """Return ``phi(D(y))``, ``(B,)``: exact, without inverting ``D``, because ``y`` is known."""
        x, envelope = self.denoise_with_energy(y, sigma)
        return value_at_prox(y, x, envelope)

    def weak_convexity(self) -> float:
        """Return ``m >= 0`` such that ``phi + m |.|^2/2`` is convex: ``1 - 1/L``, or 0 where ``L <= 1``."""
        bound = self.lipschitz_bound()
        return 0.0 if bound <= 1 else 1 - 1 / bound


def value_at_prox(y: Tensor, x: Tensor, envelope: Tensor) -> Tensor:
    """Return ``phi(x) = R(y) - |y - x|^2/2``, ``(B,)``, for ``x = D(y)`` and ``envelope = R(y)``."""
    return envelope - image_sum((y - x).square()) / 2
