"""Compressed sensing by Walsh-Hadamard coefficients."""

from __future__ import annotations

import torch
from deepinv.physics.singlepixel import hadamard_2d, sequency_order
from torch import Tensor

from gradprox.physics.checks import Size
from gradprox.physics.coefficient_draws import check_count, draw_low_first
from gradprox.physics.transform_sensing import TransformSensing

# How fast the density of measured coefficients falls with their sequency.
HADAMARD_DECAY = 2.0


class HadamardSensing(TransformSensing):
    r"""``m`` Walsh-Hadamard coefficients of the whole image, the denser the lower their sequency.

    Sequency, the number of sign changes of a pattern, orders Walsh functions as frequency orders cosines. With
    ``rho = sqrt((u/P)^2 + (v/Q)^2)`` for sequencies ``u`` and ``v``, coefficients are drawn without replacement with
    weights ``rho^-decay``. The constant pattern is always among them. Some high sequencies resolve detail that is lost
    with the lowest ones alone. Images are padded with zeros to powers of two ``P x Q``.

    Args:
        size: ``(H, W)`` of the image.
        measurements: ``m``, at most ``H W``.
        seed: seed of the draw.
        decay: exponent of the density; ``math.inf`` takes the lowest sequencies without a draw.

    Raises:
        InputError: ``m`` is not between 1 and ``H W``, or the seed is no seed of torch.

    Example:
        >>> physics = HadamardSensing((16, 16), measurements=64)
        >>> y = physics(torch.rand(2, 1, 16, 16))
        >>> y.shape, physics.A_adjoint(y).shape
        (torch.Size([2, 1, 64]), torch.Size([2, 1, 16, 16]))
    """

    def __init__(self, size: Size, measurements: int, seed: int = 0, decay: float = HADAMARD_DECAY) -> None:
        check_count(measurements, size)
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


def _sequency_ranks(length: int) -> Tensor:
    """Return the sequency of each row of the Hadamard matrix in its natural order."""
    ranks = torch.zeros(length, dtype=torch.float64)
    if length == 1:  # deepinv's order has two rows even here
        return ranks
    ranks[torch.as_tensor(sequency_order(length).copy())] = torch.arange(length, dtype=torch.float64)
    return ranks
