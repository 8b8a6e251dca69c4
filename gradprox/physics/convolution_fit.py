r"""Least-squares fits of blurs by conjugate gradients in Fourier space, with two transforms in an iteration.

A blur is a circular convolution ``K`` whose result is seen in a frame. The normal equations of a weighted fit are

    (K^T W K + weight) x = right,

where the diagonal ``W`` is 0 outside the frame. In Fourier space ``K`` is diagonal, with the response ``k^`` of the
kernel, and so is the preconditioner ``(|k^|^2 + weight)^-1``, which is exact for ``W = 1``. Images are transformed once
before the iterations and once after them. An iteration transforms only to apply ``W`` and back.

**Coordinates.** The transform of a real image is known from half of its columns. All but the first (and for an even
length the last) stand for their conjugates too, and are multiplied by ``sqrt(2)``. So real and imaginary parts are
coordinates with the inner products of the images, which conjugate gradients need.

**Smaller images.** Where the period of ``K`` is longer than the images, zeros follow them. These pixels take no part in
the fit: the frame holds only what does not depend on them. So they are 0 in the solution, too, and the other pixels are
those of a fit without them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.networks.linear_systems import conjugate_gradients
from gradprox.physics.checks import Size

# Conjugate gradients stop at the tolerance; this many iterations take place only with rounding errors above it.
MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class SeenConvolution:
    """A circular convolution seen in a frame.

    Attributes:
        response: ``torch.fft.rfft2`` of the kernel, complex, ``(1 or B, 1 or C, H, W // 2 + 1)``.
        period: ``(H, W)``.
        frame: rows and columns of the result that are measured.
    """

    response: Tensor
    period: Size
    frame: tuple[slice, slice]

    def solve(
        self, right: Tensor, weight: float, start: Tensor, weights: Tensor | None, tolerance: float
    ) -> Tensor:
        """See `gradprox.physics.contract.SolvesFits.solve_fit`.

        Images are at most as large as the period. Each channel of each image has its own residual.
        """
        # One channel after the other: the iterations hold several spectra.
        channels = right.shape[1]
        responses = self.response.expand(-1, channels, -1, -1).split(1, dim=1)
        masks = [None] * channels if weights is None else weights.expand(-1, channels, -1, -1).split(1, dim=1)
        planes = zip(right.split(1, dim=1), start.split(1, dim=1), responses, masks, strict=True)
        return torch.cat([self._solve_plane(*plane, weight, tolerance) for plane in planes], dim=1)

    def _solve_plane(
        self, right: Tensor, start: Tensor, response: Tensor, mask: Tensor | None, weight: float, tolerance: float
    ) -> Tensor:
        scale = self._scale(right)
        forward, backward = response / scale, response.conj() * scale
        gains = response.abs().square()[..., None] + weight

        def coordinates(x: Tensor) -> Tensor:
            spectrum = torch.fft.rfft2(x, s=self.period, norm="ortho") * scale
            return torch.view_as_real(spectrum)

        def operator(v: Tensor) -> Tensor:
            blurred = torch.fft.irfft2(torch.view_as_complex(v) * forward, s=self.period, norm="ortho")
            self._weigh(blurred, mask)
            back = torch.fft.rfft2(blurred, norm="ortho") * backward
            return torch.view_as_real(back).add_(v, alpha=weight)

        found, _ = conjugate_gradients(
            operator,
            coordinates(right),
            coordinates(start),
            tolerance=tolerance,
            steps=MOST_ITERATIONS,
            precondition=lambda v: v / gains,
        )
        x = torch.fft.irfft2(torch.view_as_complex(found) / scale, s=self.period, norm="ortho")
        return x[..., : right.shape[-2], : right.shape[-1]]

    def _scale(self, x: Tensor) -> Tensor:
        """Return the factors of the columns, ``(W // 2 + 1,)``."""
        width = self.period[1]
        columns = torch.arange(width // 2 + 1, device=x.device)
        return torch.where((columns > 0) & (2 * columns < width), math.sqrt(2), 1.0).to(x.dtype)

    def _weigh(self, blurred: Tensor, mask: Tensor | None) -> None:
        """Multiply images of the period by ``W``, in place: copies take time."""
        (top, bottom, _), (left, right, _) = (
            part.indices(length) for part, length in zip(self.frame, self.period, strict=True)
        )
        for hidden in (
            blurred[..., :top, :],
            blurred[..., bottom:, :],
            blurred[..., :left],
            blurred[..., right:],
        ):
            hidden.zero_()
        if mask is not None:
            blurred[..., top:bottom, left:right].mul_(mask)
