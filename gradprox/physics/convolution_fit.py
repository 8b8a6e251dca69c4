r"""Least-squares fits of blurs by conjugate gradients in Fourier space.

A blur is a circular convolution ``K`` whose result is seen in a frame. The normal equations of a weighted fit are

    (K^T W K + weight) x = right,

where the diagonal ``W`` is 0 outside the frame. In Fourier space ``K`` is diagonal, with the response ``k^`` of the
kernel. Images are transformed once before the iterations and once after them. In between only ``W``, and the
preconditioner, need images.

**Preconditioner.** It inverts the operator for ``W = I - E``, where ``E`` keeps the hidden lines: the rows and columns
outside the frame. Without them the inverse would be that of ``G = K^T K + weight``, which is diagonal. By Woodbury's
formula (Golub and Van Loan, *Matrix Computations*, 2.1.4) they add

    G^-1 K^T E S^-1 E K G^-1,   S = E T E,   T = weight (K K^T + weight)^-1.

``S`` is a convolution on a few lines. Among hidden rows alone it is diagonal in the frequencies along rows, up to a
small matrix that joins the rows, and among hidden columns likewise. So the sum of these two inverses, one for the rows
and one for the columns, takes the place of ``S^-1`` (an additive Schwarz method). It is symmetric and positive
definite, and differs from ``S^-1`` only near the corners of the frame. Few iterations remain: about 5 for out-of-focus
blur, where ``G^-1`` alone needs 60.

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
# More hidden lines than this are left to the iterations: the small matrices would take more time than they save.
MOST_LINES = 128


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
        responses = self.response.split(1, dim=1)
        systems = [System(response, self.period, self.frame, weight) for response in responses]
        masks = [None] * channels if weights is None else self._each(weights, right).split(1, dim=1)
        planes = zip(right.split(1, dim=1), start.split(1, dim=1), masks, strict=True)
        return torch.cat(
            [
                systems[channel % len(systems)].solve(*plane, tolerance)
                for channel, plane in enumerate(planes)
            ],
            dim=1,
        )

    def _each(self, weights: Tensor, images: Tensor) -> Tensor:
        """Return the weights in the shape of the measurements."""
        seen = [len(range(length)[part]) for part, length in zip(self.frame, self.period, strict=True)]
        return weights.expand(*images.shape[:2], *seen)


class System:
    """The normal equations of one channel, in coordinates of Fourier space.

    Args:
        response: that of `SeenConvolution` for one channel, ``(1 or B, 1, H, W // 2 + 1)``.
        period: see there.
        frame: see there.
        weight: of the images in the fit, above 0.
    """

    def __init__(self, response: Tensor, period: Size, frame: tuple[slice, slice], weight: float) -> None:
        self.period, self.frame, self.weight = period, frame, weight
        columns = torch.arange(response.shape[-1], device=response.device)
        doubled = (columns > 0) & (2 * columns < period[1])
        self.scale = torch.where(doubled, math.sqrt(2), 1.0).to(response.real.dtype)
        self.forward, self.backward = response / self.scale, response.conj() * self.scale
        # The solution does not depend on the preconditioner, and neither do its derivatives.
        gains = response.detach().abs().square() + weight
        self.inverse = (1 / gains)[..., None]
        self.hidden = self._hidden(0).to(gains.device), self._hidden(1).to(gains.device)
        self.borders: list[HiddenLines] = []
        if 0 < max(map(len, self.hidden)) <= MOST_LINES:
            spread = torch.fft.irfft2(weight / gains, s=period)
            self.borders = [
                HiddenLines(spread, lines, axis - 2) for axis, lines in enumerate(self.hidden) if len(lines)
            ]

    def solve(self, right: Tensor, start: Tensor, mask: Tensor | None, tolerance: float) -> Tensor:
        """Return the solution for images ``(B, 1, h, w)``; ``mask`` holds the weights in the frame."""

        def operator(v: Tensor) -> Tensor:
            blurred = self._weighted(self._blurred(v), mask)
            return self._back(blurred).add_(v, alpha=self.weight)

        found, _ = conjugate_gradients(
            operator,
            self._coordinates(right),
            self._coordinates(start),
            tolerance=tolerance,
            steps=MOST_ITERATIONS,
            precondition=self.precondition,
        )
        x = torch.fft.irfft2(torch.view_as_complex(found) / self.scale, s=self.period, norm="ortho")
        return x[..., : right.shape[-2], : right.shape[-1]]

    def precondition(self, v: Tensor) -> Tensor:
        """Return about the solution for the right-hand side with the coordinates ``v``; see the module's head."""
        near = v * self.inverse
        if not self.borders:
            return near
        blurred = self._blurred(near)
        hidden = torch.zeros_like(blurred)
        for border in self.borders:
            border.add_solution(blurred, hidden)
        return near + self.inverse * self._back(hidden)

    def _coordinates(self, x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft2(x, s=self.period, norm="ortho") * self.scale)

    def _blurred(self, v: Tensor) -> Tensor:
        """Return ``K x`` as images of the period, for the coordinates of ``x``."""
        return torch.fft.irfft2(torch.view_as_complex(v) * self.forward, s=self.period, norm="ortho")

    def _back(self, images: Tensor) -> Tensor:
        """Return the coordinates of ``K^T`` applied to images of the period."""
        return torch.view_as_real(torch.fft.rfft2(images, norm="ortho") * self.backward)

    def _weighted(self, images: Tensor, mask: Tensor | None) -> Tensor:
        """Multiply images of the period by ``W``, in place: copies take time."""
        for axis, lines in enumerate(self.hidden):
            images.index_fill_(axis - 2, lines, 0)
        if mask is not None:
            images[..., self.frame[0], self.frame[1]].mul_(mask)
        return images

    def _hidden(self, axis: int) -> Tensor:
        """Return the lines outside the frame. They follow each other, as the last line is followed by the first."""
        length = self.period[axis]
        first, last, _ = self.frame[axis].indices(length)
        return torch.arange(last, first + length) % length


class HiddenLines:
    """The inverse of ``T`` among hidden rows, or among hidden columns.

    Args:
        spread: the convolution kernel of ``T``, ``(1 or B, 1, H, W)``, with its center at the first pixel.
        lines: the numbers of the rows or columns, which follow each other in a circle.
        axis: -2 for rows, -1 for columns.
    """

    def __init__(self, spread: Tensor, lines: Tensor, axis: int) -> None:
        self.lines, self.axis, self.along = lines, axis, -3 - axis
        count, length = len(lines), spread.shape[axis]
        lags = torch.arange(1 - count, count, device=spread.device)
        near = spread.index_select(axis, lags % length)
        # Apple's MPS has no double precision.
        near = (near.cpu() if spread.device.type == "mps" else near).double()
        # A small multiple of the identity keeps rounding errors of the spread from making the matrices singular.
        near.select(axis, count - 1).select(-1, 0).mul_(1 + 32 * torch.finfo(spread.dtype).eps)
        couplings = self._frequencies_first(torch.fft.rfft(near, dim=self.along))
        places = torch.arange(count, device=near.device)
        matrices = couplings[..., places[:, None] - places + count - 1]
        self.inverse = torch.linalg.inv(matrices).to(
            spread.device, torch.promote_types(spread.dtype, torch.complex64)
        )

    def add_solution(self, images: Tensor, out: Tensor) -> None:
        """Add to ``out``, on the lines, what ``T`` takes to ``images`` there; images are ``(B, 1, H, W)``."""
        waves = torch.fft.rfft(images.index_select(self.axis, self.lines), dim=self.along)
        solved = (self.inverse @ self._frequencies_first(waves)[..., None])[..., 0]
        if self.axis == -2:
            solved = solved.mT
        found = torch.fft.irfft(solved, n=images.shape[self.along], dim=self.along)
        out.index_add_(self.axis, self.lines, found)

    def _frequencies_first(self, waves: Tensor) -> Tensor:
        """Return ``(B, 1, frequencies, lines)``."""
        return waves.mT if self.axis == -2 else waves
