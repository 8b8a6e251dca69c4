r"""Least-squares fits of blurs by conjugate gradients on the hidden measurements.

A blur is a circular convolution ``K`` whose result is seen in a frame. The normal equations of a weighted fit are

    (K^T W K + weight) x = right,

where the diagonal ``W`` is 0 outside the frame. Let it be at most 1: the equations of an image are divided by its
largest entry first. With ``W = I``, Fourier transforms would solve them, because ``G = K^T K + weight`` is diagonal in
Fourier space.

**Hidden measurements.** Let ``W = I - F^2``. A pixel of the result is hidden where ``F`` is 1, and measured in full
where ``F`` is 0. The equations say

    G x = right + K^T F u,    u = F K x.

This is a fit to the whole result, whose hidden part ``u`` is unknown. Inserting ``x`` into ``u`` gives

    S u = F K G^-1 right,    S = W + F T F,    T = weight (K K^T + weight)^-1

(Woodbury's formula: Golub and Van Loan, *Matrix Computations*, 2.1.4). ``S`` is symmetric and positive definite, and
leaves alone what is measured in full. So conjugate gradients find the hidden measurements, with two Fourier transforms
in each step. If they leave a residual ``r``, the normal equations have the residual ``K^T F r``.

**Descent.** Let ``h(x)`` be the function that a fit minimizes, and ``h(x) + |u - F K x|^2/2`` the same with hidden
measurements ``u``. For a given ``u``, the image ``x`` above has the least value, and ``S`` is the second derivative of
this value by ``u``. So each step lowers it. It begins at most at ``h(start)``, because ``u`` begins at ``F K start``;
and it is never below ``h(x)``. So a fit lowers ``h``, after any number of steps.

**Preconditioner.** ``T`` is a convolution. Among the hidden rows outside the frame alone it is diagonal in the
frequencies along rows, up to a small matrix that joins the rows, and among the hidden columns likewise. The sum of
these two inverses stands in for ``S^-1`` outside the frame (an additive Schwarz method), and the inverse of the
diagonal of ``S`` inside. It is symmetric and positive definite. About 6 steps remain for out-of-focus blur.

**Smaller images.** Where the period of ``K`` is longer than the images, zeros follow them. These pixels take no part in
the fit: the frame holds only what does not depend on them. So they are 0 in the solution, too, and the other pixels are
those of a fit without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

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
        masks: Sequence[Tensor | None] = [None] * right.shape[1]
        largest: float | Tensor = 1.0
        if weights is not None:
            weights = self._each(weights, right)
            masks = weights.split(1, dim=1)
            if weights.dtype != torch.bool:
                largest = weights.amax(dim=(1, 2, 3), keepdim=True)
                largest = torch.where(largest > 0, largest, 1)
        # Channels with the same kernel share a system.
        responses = self.response.split(1, dim=1)
        systems = [System(response, self.period, self.frame, weight / largest) for response in responses]
        found = []
        # One channel after the other: the iterations hold several images.
        planes = zip(right.split(1, dim=1), start.split(1, dim=1), masks, strict=True)
        for channel, (plane, first, mask) in enumerate(planes):
            system = systems[channel % len(systems)]
            found.append(system.solve(plane / largest, first, Hidden.of(mask, largest), tolerance))
        return torch.cat(found, dim=1)

    def _each(self, weights: Tensor, images: Tensor) -> Tensor:
        """Return the weights in the shape of the measurements."""
        seen = [len(range(length)[part]) for part, length in zip(self.frame, self.period, strict=True)]
        return weights.expand(*images.shape[:2], *seen)


class Hidden(NamedTuple):
    """What is hidden in the frame.

    Attributes:
        root: ``F``, ``(B, 1, h, w)``; None if nothing is hidden there.
        measured: ``W``; None if ``F`` is 0 or 1 everywhere.
    """

    root: Tensor | None = None
    measured: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor | None, largest: float | Tensor = 1.0) -> Hidden:
        """Return the same for weights of measurements from 0 to ``largest``, or truth values; None if all are 1."""
        if mask is None:
            return cls()
        if mask.dtype == torch.bool:
            return cls(~mask)
        measured = mask / largest
        return cls((1 - measured).sqrt(), measured)


class System:
    """The equations of the hidden measurements of one channel.

    Args:
        response: that of `SeenConvolution` for one channel, ``(1 or B, 1, H, W // 2 + 1)``.
        period: see there.
        frame: see there.
        weight: of the images in the fit, above 0; a number, or one per image, ``(B, 1, 1, 1)``.
    """

    def __init__(
        self, response: Tensor, period: Size, frame: tuple[slice, slice], weight: float | Tensor
    ) -> None:
        self.response, self.period, self.frame = response, period, frame
        self.inverse = 1 / (response.abs().square() + weight)
        self.spread = weight * self.inverse
        # The solution does not depend on the preconditioner, and neither do its derivatives.
        kernel = torch.fft.irfft2(self.spread.detach(), s=period)
        self.center = kernel[..., :1, :1].clone()
        lines = [self._outside(axis).to(kernel.device) for axis in (0, 1)]
        self.lines_seen = not any(map(len, lines))
        self.borders = [
            HiddenLines(kernel, numbers, axis - 2)
            for axis, numbers in enumerate(lines)
            if len(numbers) and max(map(len, lines)) <= MOST_LINES
        ]

    def solve(self, right: Tensor, start: Tensor, hidden: Hidden, tolerance: float) -> Tensor:
        """Return the solution for images ``(B, 1, h, w)``."""
        spectrum = torch.fft.rfft2(right, s=self.period) * self.inverse
        if hidden.root is not None or not self.lines_seen:
            found, _ = conjugate_gradients(
                partial(self.operator, hidden=hidden),
                self._hide(self._images(spectrum * self.response), hidden),
                self._hide(self._images(torch.fft.rfft2(start, s=self.period) * self.response), hidden),
                tolerance=tolerance,
                steps=MOST_ITERATIONS,
                precondition=partial(self.precondition, hidden=hidden),
                reference=right,
            )
            back = torch.fft.rfft2(self._hide(found, hidden)) * self.response.conj()
            spectrum = torch.addcmul(spectrum, back, self.inverse)
        return self._images(spectrum)[..., : right.shape[-2], : right.shape[-1]]

    def operator(self, u: Tensor, hidden: Hidden) -> Tensor:
        """Return ``S u`` for images of the period that are 0 where ``F`` is 0."""
        if hidden.measured is None:  # F u is u, and W u is 0
            return self._hide(self._spread(u), hidden)
        found = self._hide(self._spread(self._hide(u.clone(), hidden)), hidden)
        self._framed(found).addcmul_(hidden.measured, self._framed(u))
        return found

    def precondition(self, r: Tensor, hidden: Hidden) -> Tensor:
        """Return about ``S^-1 r``; see the module's head."""
        found = r / self.center
        if hidden.measured is not None:
            diagonal = self.center + (1 - self.center) * hidden.measured
            self._framed(found).copy_(self._framed(r) / diagonal)
        for border in self.borders:
            found.index_fill_(border.axis, border.lines, 0)
        for border in self.borders:
            border.add_solution(r, found)
        return found

    def _spread(self, images: Tensor) -> Tensor:
        """Return ``T`` applied to images of the period."""
        return self._images(torch.fft.rfft2(images) * self.spread)

    def _images(self, spectra: Tensor) -> Tensor:
        return torch.fft.irfft2(spectra, s=self.period)

    def _framed(self, images: Tensor) -> Tensor:
        """Return the part of images of the period in the frame, as a view."""
        return images[..., self.frame[0], self.frame[1]]

    def _hide(self, images: Tensor, hidden: Hidden) -> Tensor:
        """Multiply images of the period by ``F``, in place: copies take time."""
        if hidden.root is None:
            self._framed(images).zero_()
        else:
            self._framed(images).mul_(hidden.root)
        return images

    def _outside(self, axis: int) -> Tensor:
        """Return the lines outside the frame. They follow each other, as the last line is followed by the first."""
        length = self.period[axis]
        first, last, _ = self.frame[axis].indices(length)
        return torch.arange(last, first + length) % length


class HiddenLines:
    """The inverse of ``T`` among hidden rows, or among hidden columns.

    Args:
        spread: the kernel of ``T``, ``(1 or B, 1, H, W)``, with its center at the first pixel.
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
