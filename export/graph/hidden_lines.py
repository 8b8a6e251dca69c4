r"""The lines of an image that a photo does not show, in graphs: how fits treat them as `gradprox.physics` does.

A valid blur is a circular convolution ``K`` whose first and last rows and columns are hidden. `HiddenRows` and
`HiddenColumns` take them from the coordinates of `gradprox.export.graph.fourier_blur`, and put them back. Each hidden
line is given by its transform along itself, so the values at one frequency are those of all lines: ``(B, C, m, n)``
for ``m`` frequencies and ``n`` lines.

**Preconditioner.** `gradprox.physics.convolution_fit` explains it. It needs the inverses of matrices ``T``, one for
each frequency, with one row for each hidden line. Their entries ``T[i, j] = c[i - j]`` depend on the distance of two
lines alone (Toeplitz matrices), and ``c[-d]`` is the conjugate of ``c[d]``. ONNX has no inverse of matrices. So
Levinson's recursion finds the first column of the inverse, in a ``Loop`` with one step for each line, and the formula
of Gohberg and Semencul makes the inverse of it (Golub and Van Loan, *Matrix Computations*, 4.7).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# A small multiple of the identity, added to ``T``: rounding errors could make it singular.
ADDED = 32 * torch.finfo(torch.float64).eps


class Pair(NamedTuple):
    """Real and imaginary part of numbers; ONNX has no complex numbers."""

    real: Tensor
    imag: Tensor


class HiddenLines(ABC):
    """Lines of one direction.

    Args:
        cos: cosines of the transform across these lines, one row for each line; the lines follow each other in a
            circle.
        sin: sines of the same.
    """

    def __init__(self, cos: Tensor, sin: Tensor) -> None:
        self.cos, self.sin = cos, sin

    @abstractmethod
    def taken(self, values: Pair) -> Pair:
        """Return the transforms of these lines, ``(B, C, m, n)``, of images with the coordinates ``(B, C, H, F)``."""

    @abstractmethod
    def placed(self, lines: Pair) -> Pair:
        """Return the coordinates of images that hold these lines and are 0 elsewhere: the adjoint of `taken`."""

    @abstractmethod
    def couplings(self, spread: Tensor) -> Pair:
        """Return ``c[d]`` for the distances ``d`` from 0 to ``n - 1``, ``(B, m, n)``; see the module's head.

        Args:
            spread: the transform of the convolution ``T``, which is real, ``(B, H, F)``.
        """

    def waves_of_distances(self) -> Pair:
        """Return cosines and sines for the distances from 0 to ``n - 1``: the lines are neighbors, in a circle."""
        first_cos, first_sin = self.cos[:1], self.sin[:1]
        return Pair(self.cos * first_cos + self.sin * first_sin, self.sin * first_cos - self.cos * first_sin)

    def without(self, values: Pair) -> Pair:
        """Return the coordinates of the images with 0 on these lines."""
        hidden = self.placed(self.taken(values))
        return Pair(values.real - hidden.real, values.imag - hidden.imag)

    def solved(self, values: Pair, inverse: Tensor) -> Pair:
        """Return the coordinates of what ``T`` takes to the images on these lines; ``inverse`` is of `inverses`."""
        found = self.taken(values)
        count = found.real.shape[-1]
        # Channels last: they share the matrices.
        both = inverse @ torch.cat((found.real, found.imag), -1).permute(0, 2, 3, 1)
        both = both.permute(0, 3, 1, 2)
        return self.placed(Pair(both.narrow(-1, 0, count), both.narrow(-1, count, count)))


class HiddenRows(HiddenLines):
    """Rows; ``m`` is the number of stored frequencies along rows, ``F``."""

    def taken(self, values: Pair) -> Pair:
        """See `HiddenLines.taken`."""
        real, imag = values
        real, imag = self.cos @ real - self.sin @ imag, self.cos @ imag + self.sin @ real
        return Pair(real.mT, imag.mT)

    def placed(self, lines: Pair) -> Pair:
        """See `HiddenLines.placed`."""
        real, imag = lines.real.mT, lines.imag.mT
        return Pair(self.cos.T @ real + self.sin.T @ imag, self.cos.T @ imag - self.sin.T @ real)

    def couplings(self, spread: Tensor) -> Pair:
        """See `HiddenLines.couplings`."""
        cos, sin = self.waves_of_distances()
        return Pair((cos @ spread).mT, (sin @ spread).mT)


class HiddenColumns(HiddenLines):
    """Columns; ``m`` is the number of frequencies along columns, ``H``.

    Frequencies along rows that are not stored are the conjugates of stored ones at the opposite frequency along
    columns.
    """

    def taken(self, values: Pair) -> Pair:
        """See `HiddenLines.taken`."""
        real, imag = values
        return _both_halves(real @ self.cos.T - imag @ self.sin.T, imag @ self.cos.T + real @ self.sin.T)

    def placed(self, lines: Pair) -> Pair:
        """See `HiddenLines.placed`."""
        real, imag = lines
        return Pair(real @ self.cos + imag @ self.sin, imag @ self.cos - real @ self.sin)

    def couplings(self, spread: Tensor) -> Pair:
        """See `HiddenLines.couplings`."""
        cos, sin = self.waves_of_distances()
        return _both_halves(spread @ cos.T, spread @ sin.T)


def _both_halves(real: Tensor, imag: Tensor) -> Pair:
    """Return the mean of values ``(..., H, n)`` and the conjugates of those at the opposite frequencies."""
    length = real.shape[-2]
    opposite = (-torch.arange(length)) % torch.full((), length, dtype=torch.long)
    return Pair(
        (real + real.index_select(-2, opposite)) / 2,
        (imag - imag.index_select(-2, opposite)) / 2,
    )


class Predictor(NamedTuple):
    """The state of Levinson's recursion: the first column of the inverse, times ``error``, of the first lines alone.

    Attributes:
        real: real part, ``(B, m, n)``; the first entry is 1.
        imag: imaginary part.
        error: ``(B, m)``.
    """

    real: Tensor
    imag: Tensor
    error: Tensor


def first_predictor(couplings: Pair) -> Predictor:
    """Return the predictor of one line; ``couplings`` are those of `HiddenLines.couplings`."""
    first = (torch.arange(couplings.real.shape[-1]) == 0).double()
    real = first.expand_as(couplings.real).clone()
    # One more entry, because there may be no line; onnxruntime-web gives sums of no entries another shape.
    error = F.pad(couplings.real, (0, 1)).select(-1, 0) * (1 + ADDED)
    return Predictor(real, torch.zeros_like(real), error)


def next_predictor(before: Predictor, couplings: Pair, number: Tensor) -> Predictor:
    """Return the predictor of ``number + 1`` lines from that of ``number`` lines, a scalar; 0 lines change nothing."""
    back = number - torch.arange(before.real.shape[-1])
    index, known = back.clamp_min(0), (back > 0).double()

    def turned(values: Tensor) -> Tensor:
        """Return the values from the last to the first."""
        return values.index_select(-1, index)

    ahead = Pair(turned(couplings.real) * known, turned(couplings.imag) * known)
    error = before.error
    reflection = Pair(
        (ahead.real * before.real - ahead.imag * before.imag).sum(-1) / error,
        (ahead.real * before.imag + ahead.imag * before.real).sum(-1) / error,
    )
    real, imag = turned(before.real) * (back >= 0), turned(before.imag) * (back >= 0)
    by_real, by_imag = reflection.real[..., None], reflection.imag[..., None]
    # Minus the reflection, times the conjugate of the turned predictor.
    return Predictor(
        before.real - by_real * real - by_imag * imag,
        before.imag - by_imag * real + by_real * imag,
        error * (1 - reflection.real.square() - reflection.imag.square()),
    )


def inverses(predictor: Predictor) -> Tensor:
    """Return the inverses of ``T`` from the predictor of all lines, ``(B, m, 2n, 2n)``.

    They act on real parts that are followed by imaginary parts. With ``a`` the predictor and ``b`` its conjugate from
    the last entry to the first, one place later, ``T^-1 = (L(a) L(a)^* - L(b) L(b)^*) / error``, where ``L(v)`` is
    the triangular Toeplitz matrix with the first column ``v``.
    """
    count = predictor.real.shape[-1]
    lines = torch.arange(count)
    last = (count - lines) % torch.full((), count, dtype=torch.long).clamp_min(1)
    later = (lines > 0).double()
    back = lines[:, None] - lines
    index, lower = back.clamp_min(0).flatten(), (back >= 0).double()

    def triangular(column: Tensor) -> Tensor:
        return column.index_select(-1, index).unflatten(-1, (count, count)) * lower

    real, imag = triangular(predictor.real), triangular(predictor.imag)
    late_real = triangular(predictor.real.index_select(-1, last) * later)
    late_imag = -triangular(predictor.imag.index_select(-1, last) * later)
    error = predictor.error[..., None, None]
    found_real = (
        torch.cat((real, imag, late_real, late_imag), -1)
        @ torch.cat((real, imag, -late_real, -late_imag), -1).mT
    ) / error
    crossed = torch.cat((imag, late_imag), -1) @ torch.cat((real, -late_real), -1).mT
    found_imag = (crossed - crossed.mT) / error
    return torch.cat((torch.cat((found_real, -found_imag), -1), torch.cat((found_imag, found_real), -1)), -2)
