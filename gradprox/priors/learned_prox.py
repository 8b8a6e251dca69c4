r"""A monotone gradient network as what it is: a proximal operator, with the value of its function.

Write ``D = grad Phi`` with ``Phi`` convex, ``x = D(y)``, and

    R(y) = |y|^2/2 - Phi(y).

Then ``D`` is the prox of a function ``phi`` (Gribonval and Nikolova, J. Math. Imaging Vis. 2020) with
``phi(x) = <y, x> - |x|^2/2 - Phi(y) = R(y) - |y - x|^2/2``: ``R`` is the Moreau envelope of ``phi``. It is also
the explicit regularizer of the gradient-step form, ``grad R(y) = y - D(y)``. If ``D`` is ``L``-Lipschitz,
``phi`` is ``(1 - 1/L)``-weakly convex (convex when ``L <= 1``).
"""

from __future__ import annotations

import torch
from deepinv.models import Denoiser
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.networks import GradientNetwork

Sigma = float | Tensor


class LearnedProx(Denoiser):
    """A learned proximal operator ``D(y, sigma)``; also a `deepinv.models.Denoiser`.

    Images are ``(B, C, H, W)`` tensors on the scale ``[0, 1]`` (values outside are fine: nothing is clipped).
    A network of one channel treats the channels of an image one by one, which is again a prox, of a sum over
    the channels. A network that knows no noise level ignores ``sigma``.

    Args:
        network: a monotone gradient network.
        name: how messages and reports call it.

    Raises:
        ValueError: the network is not monotone, so it is no proximal operator.

    Example:
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

    network: GradientNetwork
    monotone = True

    def __init__(self, network: GradientNetwork, name: str = "unnamed") -> None:
        if not network.monotone:
            raise ValueError(
                f"{type(network).__name__} is not monotone: the gradient of a nonconvex potential is no prox"
            )
        super().__init__()
        self.network = network
        self.name = name

    def forward(self, y: Tensor, sigma: Sigma, **_: object) -> Tensor:
        """Return ``D(y) = prox_phi(y)``.

        Args:
            y: images ``(B, C, H, W)``.
            sigma: noise level, on the scale of ``y``: a number, or a tensor of one or of ``B`` values.

        Raises:
            ValueError: ``y`` is not such a tensor, or a noise level is negative or not finite.
        """
        folded, levels = self._fold(y, sigma)
        return self.network(folded, levels).view_as(y)

    def potential(self, y: Tensor, sigma: Sigma) -> Tensor:
        """Return the convex ``Phi(y)``, ``(B,)``, whose gradient is ``D(y)``."""
        folded, levels = self._fold(y, sigma)
        return self.network.potential(folded, levels).view(y.shape[0], -1).sum(dim=1)

    def prox_and_envelope(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Return ``D(y)`` and the Moreau envelope ``R(y)``, ``(B,)``, for little more than the cost of one."""
        folded, levels = self._fold(y, sigma)
        envelope, x = self.network.envelope_and_gradient(folded, levels)
        return x.view_as(y), envelope.view(y.shape[0], -1).sum(dim=1)

    def value(self, y: Tensor, sigma: Sigma) -> Tensor:
        """Return ``phi(D(y))``, ``(B,)``: exact, without inverting ``D``, because ``y`` is known."""
        x, envelope = self.prox_and_envelope(y, sigma)
        return value_at_prox(y, x, envelope)

    def regularizer(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return ``R(x)``, ``(B,)``, the explicit regularizer of the gradient-step form."""
        return self.prox_and_envelope(x, sigma)[1]

    def regularizer_grad(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return ``grad R(x) = x - D(x)``."""
        return x - self(x, sigma)

    def lipschitz_bound(self) -> float:
        """Return a proven upper bound of the Lipschitz constant of ``D``."""
        return self.network.lipschitz_bound()

    def weak_convexity(self) -> float:
        """Return ``m >= 0`` such that ``phi + m |.|^2/2`` is convex: ``1 - 1/L``, or 0 where ``L <= 1``."""
        return max(0.0, 1 - 1 / self.lipschitz_bound())

    def _fold(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Check the input; give each channel its own place in the batch of a one-channel network."""
        channels = self.network.channels
        if not isinstance(y, Tensor):
            raise ValueError(f"expected a tensor (B, C, H, W), got {type(y).__name__}")
        if y.ndim != 4 or not y.is_floating_point() or y.numel() == 0:
            raise ValueError(
                f"expected a floating-point tensor (B, C, H, W), got {y.dtype} of shape {tuple(y.shape)}"
            )
        weight = next(self.network.parameters(), y)
        if (weight.dtype, weight.device) != (y.dtype, y.device):
            raise ValueError(
                f"{self.name} is of {weight.dtype} on {weight.device}, the image of {y.dtype} on {y.device}: "
                "move one of them, as by model.to(y)"
            )
        if channels not in (None, 1, y.shape[1]):
            raise ValueError(f"{self.name} takes images of {channels} channels, got {y.shape[1]}")
        levels = torch.as_tensor(sigma, dtype=y.dtype, device=y.device).flatten()
        if levels.numel() not in (1, y.shape[0]):
            raise ValueError(f"got {levels.numel()} noise levels for {y.shape[0]} images")
        if not bool(torch.all(levels >= 0) & torch.all(torch.isfinite(levels))):
            raise ValueError("noise levels must be finite and not negative")
        if channels != 1:
            return y, levels
        if levels.numel() > 1:
            levels = levels.repeat_interleave(y.shape[1])
        return y.reshape(-1, 1, *y.shape[2:]), levels


def value_at_prox(y: Tensor, x: Tensor, envelope: Tensor) -> Tensor:
    """Return ``phi(x) = R(y) - |y - x|^2/2``, ``(B,)``, for ``x = D(y)`` and ``envelope = R(y)``."""
    return envelope - image_sum((y - x).square()) / 2
