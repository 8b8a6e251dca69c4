r"""Blur by Fourier transforms, for graphs: a transform of any length is a product with a matrix.

ONNX Runtime's own transform is inaccurate and slow at lengths that are not powers of two. Products with matrices of
cosines and sines take a small part of the time of the denoiser. They are computed in double precision: a fit with a
small weight ``lambda`` amplifies rounding errors up to ``1/(2 sqrt(lambda))`` times, and conjugate gradients more.

**Coordinates.** The spectrum of a real image is known from ``F = W // 2 + 1`` frequencies along rows. All but the first
(and for even ``W`` the last) stand for their conjugates too, and are multiplied by ``sqrt(2)``. So real and imaginary
parts are coordinates in an orthonormal basis: ``(B, C, 2, H, F)``, with the sums of squares of the images.

**Valid blur.** ``A`` is a circular convolution ``K`` followed by a crop, and ``A^T A = K^T M K``, where ``M`` sets the
``h - 1`` rows and ``w - 1`` columns to 0 that are not in the photo. In the coordinates ``K`` is diagonal, and ``M`` is
``(I - U U^*)`` along columns times the same along rows, where ``U`` holds the transforms of these lines. So a product
with ``A^T A`` needs no transform of an image. `gradprox.export.graph.hidden_lines` has these lines.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from gradprox.batch import per_image
from gradprox.export.graph.blur import GraphBlur
from gradprox.export.graph.equations import Equations
from gradprox.export.graph.hidden_lines import HiddenColumns, HiddenRows, Pair
from gradprox.physics.starts import margins


def _fast_lengths(largest: int) -> list[int]:
    """Return the lengths up to about ``largest`` that suit Fourier transforms of real numbers."""
    found = [1]
    while found[-1] < largest:
        found.append(int(next_fast_len(found[-1] + 1, real=True)))
    return found


# The periods of `gradprox.physics.ValidBlur`.
FAST_LENGTHS = _fast_lengths(2**20)


class Spectrum(NamedTuple):
    """The transform of images ``(H, W)``, and the response of a kernel; all in double precision.

    Attributes:
        column_cos: cosines of the transform along columns, ``(H, H)``, symmetric.
        column_sin: sines of the same.
        row_cos: cosines of the transform along rows, ``(W, F)``.
        row_sin: sines of the same.
        response_real: transfer function of the kernel, real part, ``(H, F)``.
        response_imag: imaginary part.
    """

    column_cos: Tensor
    column_sin: Tensor
    row_cos: Tensor
    row_sin: Tensor
    response_real: Tensor
    response_imag: Tensor

    @classmethod
    def of(cls, kernel: Tensor, height: int, width: int) -> Spectrum:
        """Return the transform of images ``(height, width)`` with the response of a kernel ``(1, 1, h, w)``.

        The center of the kernel is at ``size // 2``, as in `gradprox.physics.CircularBlur`.
        """
        rows, columns, half = (torch.arange(length) for length in (height, width, width // 2 + 1))
        column_cos, column_sin = _waves(rows, rows, height)
        row_cos, row_sin = _waves(columns, half, width)
        # A frequency that is not 0 or W / 2 stands for its conjugate too.
        multiplicity = 1 + ((half > 0) & (2 * half < width)).double()
        along_columns, along_rows = 1 / _root(rows), multiplicity.sqrt() / _root(columns)
        return cls(
            along_columns * column_cos,
            along_columns * column_sin,
            along_rows * row_cos,
            along_rows * row_sin,
            *_response(kernel, rows, half, height, width),
        )

    def transform(self, x: Tensor) -> Tensor:
        """Return the coordinates of ``(B, C, H, W)``."""
        x = x.double()
        real, imag = x @ self.row_cos, -(x @ self.row_sin)
        return torch.stack(
            (
                self.column_cos @ real + self.column_sin @ imag,
                self.column_cos @ imag - self.column_sin @ real,
            ),
            2,
        )

    def inverse(self, values: Tensor) -> Tensor:
        """Return the images ``(B, C, H, W)``, in double precision, that have these coordinates."""
        real, imag = values[:, :, 0], values[:, :, 1]
        real, imag = (
            self.column_cos @ real - self.column_sin @ imag,
            self.column_cos @ imag + self.column_sin @ real,
        )
        return real @ self.row_cos.T - imag @ self.row_sin.T

    def blurred(self, values: Tensor) -> Tensor:
        """Return the coordinates of ``K x`` for those of ``x``."""
        real, imag = values[:, :, 0], values[:, :, 1]
        return torch.stack(
            (
                self.response_real * real - self.response_imag * imag,
                self.response_real * imag + self.response_imag * real,
            ),
            2,
        )

    def correlated(self, values: Tensor) -> Tensor:
        """Return the coordinates of ``K^T y`` for those of ``y``."""
        real, imag = values[:, :, 0], values[:, :, 1]
        return torch.stack(
            (
                self.response_real * real + self.response_imag * imag,
                self.response_real * imag - self.response_imag * real,
            ),
            2,
        )

    def gains(self) -> Tensor:
        """Return ``|k^|^2``, ``(H, F)``."""
        return self.response_real.square() + self.response_imag.square()

    def lines(self, rows: Tensor, columns: Tensor) -> tuple[HiddenRows, HiddenColumns]:
        """Return the lines with these numbers; the rows follow each other in a circle, and so do the columns."""
        return (
            HiddenRows(self.column_cos.index_select(0, rows), self.column_sin.index_select(0, rows)),
            HiddenColumns(self.row_cos.index_select(0, columns), self.row_sin.index_select(0, columns)),
        )


class FourierBlur(GraphBlur, Equations):
    """`GraphBlur` by Fourier transforms, in double precision, with the equations of its least-squares fits.

    Args:
        kernel: ``(1, 1, h, w)``; only its size is used.
        boundary: ``"valid"`` or ``"circular"``.
        spectrum: the transform of images of the unknown's size, with the response of the kernel.
    """

    def __init__(self, kernel: Tensor, boundary: str, spectrum: Spectrum) -> None:
        super().__init__(kernel, boundary)
        self.spectrum = spectrum

    def A(self, x: Tensor) -> Tensor:
        """Convolve; see `GraphBlur.A`."""
        return self.measured(self.coordinates(x))

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Correlate with the kernel: the adjoint."""
        return self.images(self.back(y))

    def coordinates(self, x: Tensor) -> Tensor:
        """See `Equations.coordinates`."""
        return self.spectrum.transform(x)

    def images(self, coordinates: Tensor) -> Tensor:
        """See `Equations.images`."""
        return self.spectrum.inverse(coordinates)

    def back(self, y: Tensor) -> Tensor:
        """See `Equations.back`."""
        if self.boundary == "valid":
            (top, bottom), (left, right) = (margins(size) for size in self.kernel.shape[-2:])
            y = F.pad(y, (left, right, top, bottom))
        return self.spectrum.correlated(self.coordinates(y))

    def measured(self, coordinates: Tensor) -> Tensor:
        """See `Equations.measured`: the blur needs no images."""
        return self.visible(self.images(self.spectrum.blurred(coordinates)))

    def normal_operator(self, coordinates: Tensor, weight: Tensor) -> Tensor:
        """See `Equations.normal_operator`."""
        blurred = self.spectrum.blurred(coordinates)
        if self.boundary == "valid":
            values = Pair(blurred[:, :, 0], blurred[:, :, 1])
            for lines in self._hidden(*(torch.arange(size - 1) for size in self.kernel.shape[-2:])):
                values = lines.without(values)
            blurred = torch.stack(values, 2)
        return self.spectrum.correlated(blurred) + weight * coordinates

    def couplings(self, weight: Tensor, rows: Tensor, columns: Tensor) -> tuple[Pair, Pair]:
        """Return the matrices of hidden rows and of hidden columns, see `HiddenLines.couplings`.

        Args:
            weight: of the fit, one per image, ``(B,)``.
            rows: numbers of the hidden rows that the preconditioner takes, from 0.
            columns: numbers of the hidden columns.
        """
        weight = per_image(weight, self.spectrum.gains()[None])
        spread = weight / (self.spectrum.gains() + weight)
        by_rows, by_columns = self._hidden(rows, columns)
        return by_rows.couplings(spread), by_columns.couplings(spread)

    def precondition(self, coordinates: Tensor, weight: Tensor, borders: tuple[Tensor, ...] = ()) -> Tensor:
        """See `Equations.precondition`: exact for the circular convolution without the crop.

        With ``borders``, the numbers of hidden rows and columns and their `inverses`, it is nearly exact with the crop.
        """
        gains = self.spectrum.gains() + weight
        near = coordinates / gains
        if not borders:
            return near
        rows, columns, *inverses = borders
        blurred = self.spectrum.blurred(near)
        values = Pair(blurred[:, :, 0], blurred[:, :, 1])
        found = [
            lines.solved(values, inverse)
            for lines, inverse in zip(self._hidden(rows, columns), inverses, strict=True)
        ]
        hidden = torch.stack((found[0].real + found[1].real, found[0].imag + found[1].imag), 2)
        return near + self.spectrum.correlated(hidden) / gains

    def _hidden(self, rows: Tensor, columns: Tensor) -> tuple[HiddenRows, HiddenColumns]:
        """Return hidden lines by their numbers, from 0: the last of the image come before the first."""
        numbers, lengths = (
            (rows, columns),
            (self.spectrum.column_cos.shape[0], self.spectrum.row_cos.shape[0]),
        )
        return self.spectrum.lines(
            *(
                (number - margins(size)[1]) % torch.full((), length, dtype=torch.long)
                for number, size, length in zip(numbers, self.kernel.shape[-2:], lengths, strict=True)
            )
        )

    def closed_fit(self, z: Tensor, y: Tensor, back: Tensor, weight: Tensor) -> Tensor | None:  # noqa: ARG002
        """See `Equations.closed_fit`: a circular blur is diagonal in these coordinates."""
        if self.boundary == "valid":
            return None
        # Images have four dimensions, coordinates five.
        weight = weight[..., None]
        return self.images(self.precondition(back + weight * self.coordinates(z), weight))


def valid_squared_norm(kernel: Tensor, height: int, width: int) -> Tensor:
    """Return the bound of `gradprox.physics.ValidBlur.squared_norm`, a scalar, for unknown images ``(height, width)``.

    The period of its convolution is a value of the graph, which cannot be the size of a tensor: there are more
    frequencies than the period has, and those beyond it repeat the last one.
    """
    periods = [_fast_length(length) for length in (height, width)]
    rows, half = (
        torch.minimum(torch.arange(most), last)
        for most, last in ((2 * height, periods[0] - 1), (width + 1, periods[1] // 2))
    )
    real, imag = _response(kernel, rows, half, *periods)
    return (real.square() + imag.square()).max()


def _fast_length(length: int) -> Tensor:
    """Return the smallest of `FAST_LENGTHS` that is not below ``length``, a scalar."""
    table = torch.tensor(FAST_LENGTHS)
    place = (table < torch.full((), length, dtype=torch.long)).sum()
    return table.index_select(0, place.reshape(1))[0]


def _response(
    kernel: Tensor, rows: Tensor, columns: Tensor, height: int | Tensor, width: int | Tensor
) -> tuple[Tensor, Tensor]:
    """Return the transfer function of a kernel at these frequencies, real and imaginary part."""
    taps = kernel[0, 0].double()
    down, across = (torch.arange(size) - size // 2 for size in taps.shape)
    down_cos, down_sin = _waves(rows, down, height)
    across_cos, across_sin = _waves(across, columns, width)
    real, imag = taps @ across_cos, -(taps @ across_sin)
    return down_cos @ real + down_sin @ imag, down_cos @ imag - down_sin @ real


def _waves(positions: Tensor, frequencies: Tensor, period: int | Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of ``2 pi position frequency / period``, in double precision, ``(n, m)``.

    The product is reduced to one period as a whole number, so no digits are lost.
    """
    # Tensors, because exporters trace this with symbolic sizes, and round numbers to single precision.
    whole = period if isinstance(period, Tensor) else torch.full((), period, dtype=torch.long)
    turns = (positions[:, None] * frequencies) % whole
    circle = torch.tensor(2 * math.pi, dtype=torch.float64)
    angles = turns.double() * (circle / whole.double())
    return angles.cos(), angles.sin()


def _root(positions: Tensor) -> Tensor:
    """Return the square root of the number of positions, a scalar."""
    return torch.full((), positions.shape[0], dtype=torch.float64).sqrt()
