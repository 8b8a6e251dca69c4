"""The part that all priors share: a gradient network, checked input, and its explicit energy."""

from __future__ import annotations

import warnings

from deepinv.models import Denoiser
from torch import Tensor, as_tensor, compiler, isfinite

from gradprox.batch import PRECISIONS, any_true, largest_of
from gradprox.errors import InputError
from gradprox.networks import GradientNetwork
from gradprox.priors.contract import Sigma
from gradprox.scales import LARGEST_NOISE, MARGIN, beyond_training, check_noise, wrong_in_memory


class NetworkPrior(Denoiser):
    """A gradient network ``D = grad Phi`` of images, with its energy ``R(y) = |y|^2/2 - Phi(y)``.

    This is the base of `LearnedProx` and `GradientStepDenoiser`, and is not built by itself. Images are
    ``(B, C, H, W)`` tensors on the scale ``[0, 1]``; values outside are legal, and nothing is clipped. A network of one
    channel treats the channels of an image one by one: ``Phi`` and ``R`` are then sums over the channels. A network
    without noise conditioning ignores ``sigma``.

    Args:
        network: the gradient network.
        name: the name in messages and reports.
    """

    network: GradientNetwork

    def __init__(self, network: GradientNetwork, name: str = "unnamed") -> None:
        super().__init__()
        self.network = network
        self.name = name

    @property
    def monotone(self) -> bool:
        """Whether the Jacobian of ``D`` is positive semidefinite by construction."""
        return self.network.monotone

    @property
    def tolerates_bfloat16(self) -> bool:
        """Whether mixed precision changes ``D(y)`` by far less than the noise that it removes."""
        return self.network.tolerates_bfloat16

    def forward(self, y: Tensor, sigma: Sigma, **_: object) -> Tensor:
        """Return ``D(y)``.

        Args:
            y: images ``(B, C, H, W)``.
            sigma: noise level, on the scale of ``y``: a number, or a tensor of one or of ``B`` values.

        Raises:
            InputError: ``y`` is no such tensor of float32 or float64, or a noise level is no number, negative, above 1
                or not finite.

        Warns:
            UserWarning: the values of ``y`` are on another scale, or there is more noise than in the training.
        """
        folded, levels = self._fold(y, sigma)
        if not compiler.is_compiling():
            wrong = wrong_in_memory(largest_of(y.detach().abs()))
            if wrong is not None:
                warnings.warn(f"{self.name}: {wrong}", stacklevel=2)
        return self.network(folded, levels).view_as(y)

    def potential(self, y: Tensor, sigma: Sigma) -> Tensor:
        """Return the potential ``Phi(y)``, ``(B,)``, whose gradient is ``D(y)``."""
        folded, levels = self._fold(y, sigma)
        return self.network.potential(folded, levels).view(y.shape[0], -1).sum(dim=1)

    def denoise_with_energy(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Return ``D(y)`` and ``R(y)``, ``(B,)``, for little more than the cost of ``D(y)``."""
        folded, levels = self._fold(y, sigma)
        energy, x = self.network.envelope_and_gradient(folded, levels)
        return x.view_as(y), energy.view(y.shape[0], -1).sum(dim=1)

    def regularizer(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return the energy ``R(x)``, ``(B,)``, the explicit regularizer of the gradient-step form."""
        return self.denoise_with_energy(x, sigma)[1]

    def regularizer_grad(self, x: Tensor, sigma: Sigma) -> Tensor:
        """Return ``grad R(x) = x - D(x)``."""
        return x - self(x, sigma)

    def lipschitz_bound(self) -> float:
        """Return a proven upper bound of the Lipschitz constant of ``D``."""
        return self.network.lipschitz_bound()

    def curvature_bound(self) -> float:
        """Return a proven upper bound of the eigenvalues of the Hessian of ``R``, which is ``I - J_D``.

        A monotone ``D`` has ``J_D >= 0``, so the bound is 1; in general ``J_D >= -L``, so it is ``1 + L``.
        """
        return 1.0 if self.monotone else 1 + self.lipschitz_bound()

    def _fold(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Check the input; give each channel its own place in the batch of a one-channel network."""
        channels = self.network.channels
        if not isinstance(y, Tensor):
            raise InputError(f"expected a tensor (B, C, H, W), got {type(y).__name__}")
        if y.ndim != 4 or y.dtype not in PRECISIONS or y.numel() == 0:
            raise InputError(
                f"expected a tensor (B, C, H, W) of float32 or float64, got {y.dtype} of shape {tuple(y.shape)}"
            )
        weight = next(self.network.parameters(), y)
        if (weight.dtype, weight.device) != (y.dtype, y.device):
            raise InputError(
                f"{self.name} has type {weight.dtype} on {weight.device}, the image {y.dtype} on {y.device}: convert "
                "one of them, for example with model.to(y)"
            )
        if channels not in (None, 1, y.shape[1]):
            raise InputError(f"{self.name} takes images of {channels} channels, got {y.shape[1]}")
        try:
            levels = as_tensor(sigma, dtype=y.dtype, device=y.device)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"noise levels: expected a number, for example 25/255, or a tensor of one per image, got {sigma!r}"
            ) from error
        if levels.ndim > 1 and levels.numel() > levels.shape[0]:
            raise InputError(
                f"noise levels: {self.name} takes one level per image, not a map of shape {tuple(levels.shape)}: "
                "give its mean"
            )
        levels = levels.flatten()
        if levels.numel() not in (1, y.shape[0]):
            raise InputError(f"got {levels.numel()} noise levels for {y.shape[0]} images")
        # A traced graph cannot look at values.
        if not compiler.is_compiling():
            self._check_levels(levels)
        if channels != 1:
            return y, levels
        if levels.numel() > 1:
            levels = levels.repeat_interleave(y.shape[1])
        return y.reshape(-1, 1, *y.shape[2:]), levels

    def _check_levels(self, levels: Tensor) -> None:
        """Refuse levels that are illegal; warn of levels beyond the training."""
        if any_true(~((levels >= 0) & isfinite(levels))):
            raise InputError("noise levels must be finite and not negative")
        trained = self.network.noise_range
        largest = LARGEST_NOISE if trained is None else min(LARGEST_NOISE, MARGIN * trained[1])
        if any_true(levels > largest):
            check_noise("noise level", largest_of(levels))
            if trained is not None:
                warnings.warn(beyond_training(self.name, trained), stacklevel=2)
