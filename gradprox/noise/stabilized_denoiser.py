"""A denoiser of constant noise, made to remove noise that depends on the signal."""

from __future__ import annotations

from deepinv.models import Denoiser
from torch import Tensor, float64, nn, tensor

from gradprox.noise.anscombe import GeneralizedAnscombe
from gradprox.priors.contract import Sigma


class Stabilization:
    """The generalized Anscombe transform, scaled such that the signals of black and white become 0 and 1.

    Args:
        gain: brightness of one photon, on the scale of the images.
        read: standard deviation of the read noise, on the same scale.

    Attributes:
        level: the standard deviation of the noise of transformed images, nearly the same for all signals.

    Raises:
        InputError: the gain is not positive and finite, or the read noise is negative or not finite.
    """

    def __init__(self, gain: float, read: float) -> None:
        self.transform = GeneralizedAnscombe(gain, read)
        self._black, white = self.transform(tensor([0.0, 1.0], dtype=float64)).tolist()
        self._range = white - self._black
        self.level = 1 / self._range

    def __call__(self, y: Tensor) -> Tensor:
        """Return images with noise of constant level, shaped like ``y``."""
        return (self.transform(y) - self._black) / self._range

    def inverse(self, expected: Tensor) -> Tensor:
        """Return the signals of which transformed measurements have these expectations."""
        return self.transform.inverse(expected * self._range + self._black)


class StabilizedDenoiser(Denoiser):
    """A denoiser for noise of variance ``gain * signal + read^2``; a `deepinv.models.Denoiser`.

    `Stabilization` makes the noise constant, ``denoiser`` removes it, and the exact unbiased inverse leads back.

    Images are ``(B, C, H, W)`` on the scale ``[0, 1]``; values outside are legal. The result is not negative. It is no
    prox, even if ``denoiser`` is one.

    Args:
        denoiser: any `deepinv.models.Denoiser` for white Gaussian noise, for example a shipped model.
        gain: brightness of one photon, on the scale of the images.
        read: standard deviation of the read noise, on the same scale.

    Raises:
        InputError: the gain is not positive and finite, or the read noise is negative or not finite.
    """

    def __init__(self, denoiser: nn.Module, gain: float, read: float) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.stabilization = Stabilization(gain, read)

    def forward(self, y: Tensor, sigma: Sigma | None = None, **_: object) -> Tensor:  # noqa: ARG002
        """Return denoised images, shaped like ``y``.

        Args:
            y: images ``(B, C, H, W)``.
            sigma: ignored, because gain and read noise tell the level; the argument is that of all denoisers.
        """
        return self.stabilization.inverse(self.denoiser(self.stabilization(y), self.level))

    @property
    def level(self) -> float:
        """The noise level that ``denoiser`` gets."""
        return self.stabilization.level
