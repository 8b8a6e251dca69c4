"""Compressed sensing by Fourier coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.physics.checks import Size
from gradprox.physics.coefficient_draws import check_count, draw_keys
from gradprox.physics.transform_sensing import TransformSensing

# How fast the density of measured coefficients falls with their frequency.
FOURIER_DECAY = 2.0


class FourierSensing(TransformSensing):
    r"""Fourier coefficients of a real image of any size, as ``m`` real numbers, the denser the lower their frequency.

    The coefficient ``F[-k]`` of a real image is the conjugate of ``F[k]``, so the pair holds two real numbers, not
    four. They are measured as two coefficients of the Hartley transform ``T x = Re F x - Im F x``, which is real,
    orthonormal and its own inverse: ``(T[k] + T[-k])/2 = Re F[k]`` and ``(T[-k] - T[k])/2 = Im F[k]`` (Bracewell, J.
    Opt. Soc. Am. 1983). White noise stays white. Pairs are drawn like the coefficients of
    `gradprox.physics.HadamardSensing`, by frequency instead of sequency. A pair is drawn whole; only half of the last
    one may fit into ``m``.

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: seed of the draw.
        decay: exponent of the density; ``math.inf`` takes the lowest frequencies without a draw.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``, or the seed is no seed of torch.
    """

    def __init__(self, size: Size, measurements: int, seed: int = 0, decay: float = FOURIER_DECAY) -> None:
        check_count(measurements, size)
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
