"""The transforms of compressed sensing: Hadamard, cosine, Fourier, and one that looks random."""

from __future__ import annotations

import torch
from deepinv.physics.singlepixel import hadamard_2d, sequency_order
from torch import Tensor

from gradprox.physics.cosine_transform import cosine_transform, inverse_cosine_transform
from gradprox.physics.sizes import Size
from gradprox.physics.transform_sensing import (
    TransformSensing,
    check_measurements,
    draw_keys,
    draw_low_first,
)

# How fast the density of measured coefficients falls with their frequency.
HADAMARD_DECAY = 2.0
COSINE_DECAY = 2.0
FOURIER_DECAY = 2.0


class HadamardSensing(TransformSensing):
    r"""``m`` Walsh-Hadamard coefficients of the whole image, the denser the lower their sequency.

    Sequency, the number of sign changes of a pattern, orders Walsh functions as frequency orders cosines. With
    ``rho = sqrt((u/P)^2 + (v/Q)^2)`` for sequencies ``u`` and ``v``, coefficients are drawn without replacement with
    weights ``rho^-decay``; the constant pattern is always among them. Some high sequencies resolve detail that the
    lowest ones alone lose. Images are padded with zeros to powers of two ``P x Q``.

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: of the draw.
        decay: how fast the density falls; ``math.inf`` takes the lowest sequencies, none drawn.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``.

    Example:
        >>> physics = HadamardSensing((16, 16), measurements=64)
        >>> y = physics(torch.rand(2, 1, 16, 16))
        >>> y.shape, physics.A_adjoint(y).shape
        (torch.Size([2, 1, 64]), torch.Size([2, 1, 16, 16]))
    """

    def __init__(self, size: Size, measurements: int, seed: int = 0, decay: float = HADAMARD_DECAY) -> None:
        check_measurements(measurements, size)
        padded = (1 << (size[0] - 1).bit_length(), 1 << (size[1] - 1).bit_length())
        ranks = [_sequency_ranks(length) / length for length in padded]
        distance = torch.hypot(ranks[0][:, None], ranks[1])
        super().__init__(size, draw_low_first(distance, measurements, seed, decay), padded)

    def transform(self, x: Tensor) -> Tensor:
        """See `TransformSensing.transform`."""
        return hadamard_2d(x)

    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """See `TransformSensing.inverse_transform`."""
        return hadamard_2d(coefficients)


class CosineSensing(TransformSensing):
    r"""``m`` coefficients of the discrete cosine transform (DCT-II) of the whole image, of any size.

    They are drawn like those of `HadamardSensing`, with frequencies for sequencies.

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: of the draw.
        decay: how fast the density falls; ``math.inf`` takes the lowest frequencies, none drawn.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``.
    """

    def __init__(self, size: Size, measurements: int, seed: int = 0, decay: float = COSINE_DECAY) -> None:
        check_measurements(measurements, size)
        frequencies = [torch.arange(length, dtype=torch.float64) / length for length in size]
        distance = torch.hypot(frequencies[0][:, None], frequencies[1])
        super().__init__(size, draw_low_first(distance, measurements, seed, decay))

    def transform(self, x: Tensor) -> Tensor:
        """See `TransformSensing.transform`."""
        return cosine_transform(x)

    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """See `TransformSensing.inverse_transform`."""
        return inverse_cosine_transform(coefficients)


class FourierSensing(TransformSensing):
    r"""Fourier coefficients of a real image of any size, as ``m`` real numbers, the denser the lower their frequency.

    The coefficient ``F[-k]`` of a real image is the conjugate of ``F[k]``, so a pair is two real numbers, not four.
    Which two: those of the Hartley transform ``T x = Re F x - Im F x``, real, orthonormal and its own inverse, where
    ``(T[k] + T[-k])/2 = Re F[k]`` and ``(T[-k] - T[k])/2 = Im F[k]`` (Bracewell, J. Opt. Soc. Am. 1983). White noise
    stays white. Pairs are drawn whole, as in `HadamardSensing`, with frequencies for sequencies; of the last one only a
    half may fit into ``m``.

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: of the draw.
        decay: how fast the density falls; ``math.inf`` takes the lowest frequencies, none drawn.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``.
    """

    def __init__(self, size: Size, measurements: int, seed: int = 0, decay: float = FOURIER_DECAY) -> None:
        check_measurements(measurements, size)
        frequencies = [2 * torch.fft.fftfreq(length, dtype=torch.float64) for length in size]
        keys = draw_keys(torch.hypot(frequencies[0][:, None], frequencies[1]), seed, decay)
        # The same key twice keeps a pair together.
        opposite = keys.flip(0, 1).roll((1, 1), (0, 1))
        super().__init__(size, torch.minimum(keys, opposite).flatten().argsort(stable=True)[:measurements])

    def transform(self, x: Tensor) -> Tensor:
        """See `TransformSensing.transform`."""
        spectrum = torch.fft.fft2(x, norm="ortho")
        return spectrum.real - spectrum.imag

    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """See `TransformSensing.inverse_transform`."""
        return self.transform(coefficients)


class StructuredSensing(TransformSensing):
    r"""``m`` random coefficients of the cosine transform of the image with random signs on its pixels.

    The signs spread every image evenly over all coefficients, so that those measured, drawn uniformly, do as well
    as as many projections onto random directions, at the cost of a fast transform and in the memory of one image (Do,
    Gan, Nguyen and Tran, IEEE Trans. Signal Process. 2012).

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: of signs and draw.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``.
    """

    signs: Tensor

    def __init__(self, size: Size, measurements: int, seed: int = 0) -> None:
        check_measurements(measurements, size)
        generator = torch.Generator().manual_seed(seed)
        signs = torch.randint(2, size, generator=generator)
        places = torch.randperm(size[0] * size[1], generator=generator)
        super().__init__(size, places[:measurements])
        self.register_buffer("signs", 2.0 * signs - 1)

    def transform(self, x: Tensor) -> Tensor:
        """See `TransformSensing.transform`."""
        return cosine_transform(self.signs * x)

    def inverse_transform(self, coefficients: Tensor) -> Tensor:
        """See `TransformSensing.inverse_transform`."""
        return self.signs * inverse_cosine_transform(coefficients)


def _sequency_ranks(length: int) -> Tensor:
    """Return the sequency of each row of the Hadamard matrix in its natural order."""
    ranks = torch.zeros(length, dtype=torch.float64)
    if length == 1:  # of which deepinv's order makes two rows
        return ranks
    ranks[torch.as_tensor(sequency_order(length).copy())] = torch.arange(length, dtype=torch.float64)
    return ranks
