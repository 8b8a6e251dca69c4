"""The least-squares term of a circular blur, in Fourier space: two transforms per gradient instead of four."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from deepinv.physics import BlurFFT
from torch import Tensor, fft

from gradprox.batch import image_sum
from gradprox.solvers.least_squares import LeastSquares


@dataclass(frozen=True, kw_only=True)
class CircularLeastSquares(LeastSquares):
    """`LeastSquares` for a `deepinv.physics.BlurFFT`, diagonal in Fourier space.

    Attributes:
        response: the transfer function ``k^``, ``(1 or B, C, H, W // 2 + 1)``, complex.
        spectrum: ``y^``, orthonormal transform of the measurements.
        multiplicity: number of times that each column of the half spectrum occurs in the full one, ``(W // 2 + 1,)``.
    """

    response: Tensor
    spectrum: Tensor
    multiplicity: Tensor

    @classmethod
    def of(cls, y: Tensor, physics: BlurFFT, lipschitz: float, weight: float = 1.0) -> CircularLeastSquares:
        """Return the data term of measurements ``(B, C, H, W)``."""
        width = y.shape[-1]
        multiplicity = torch.full((width // 2 + 1,), 2.0, dtype=y.dtype, device=y.device)
        multiplicity[0] = 1
        if width % 2 == 0:
            multiplicity[-1] = 1
        return cls(
            y,
            physics,
            lipschitz,
            weight,
            response=physics.mask[..., 0] * physics.angle,
            spectrum=fft.rfft2(y, norm="ortho"),
            multiplicity=multiplicity,
        )

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `DataTerm.value_and_gradient`; the value by Parseval's theorem."""
        misfit = self.response * fft.rfft2(x, norm="ortho") - self.spectrum
        gradient = fft.irfft2(self.response.conj() * misfit, s=x.shape[-2:], norm="ortho")
        return self._energy(misfit), gradient if self.weight == 1 else self.weight * gradient

    def value(self, x: Tensor) -> Tensor:
        """See `DataTerm.value`."""
        return self._energy(self.response * fft.rfft2(x, norm="ortho") - self.spectrum)

    def fit(self, z: Tensor, weight: float, start: Tensor) -> Tensor:  # noqa: ARG002
        """See `QuadraticDataTerm.fit`."""
        relative = weight / self.weight
        response = self.response.conj()
        numerator = response * self.spectrum + relative * fft.rfft2(z, norm="ortho")
        gains = (response * self.response).real + relative
        return fft.irfft2(numerator / gains, s=z.shape[-2:], norm="ortho")

    def select(self, keep: Tensor) -> CircularLeastSquares:
        """See `DataTerm.select`."""
        response = self.response[keep] if self._is_per_image(self.response) else self.response
        return replace(super().select(keep), response=response, spectrum=self.spectrum[keep])

    def _energy(self, misfit: Tensor) -> Tensor:
        # Columns are summed first: a sum over the two numbers of each complex value takes longer than a transform.
        columns = torch.view_as_real(misfit).square().sum(dim=-3)
        return self.weight * image_sum(columns * self.multiplicity[:, None]) / 2
