r"""What training minimizes, one value per image; each aims the network at another point of the posterior of ``x``.

* ``mse``: the mean, ``|e|^2 / n``. Errors grow with the noise, so they are divided by ``sigma^loss_power``.
* ``l1``: the median of each pixel, ``|e|_1 / n``, divided by the square root of that.
* ``proximal-matching``: the mode, hence the prox of the negative logarithm of the prior: Fang, Buchanan and Sulam,
  "What's in a prior? Learned proximal networks for inverse problems", ICLR 2024, with ``1 - exp(-|e|^2 / (n g^2))``
  for their ``m_gamma``, whose constant factor changes no minimizer. ``g = gamma sigma``; smaller comes closer to the
  mode and trains more slowly, so start from a model trained for the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

LossName = Literal["mse", "l1", "proximal-matching"]
# From the error (B, C, H, W) and the noise levels (B,) to the loss of each image (B,).
Loss = Callable[[Tensor, Tensor], Tensor]


def image_loss(name: LossName, power: float, gamma: float) -> Loss:
    """Return a loss.

    Args:
        name: ``"mse"``, ``"l1"`` or ``"proximal-matching"``.
        power: by which power of the noise level squared errors are divided, so that no level drowns another.
        gamma: width of proximal matching, in noise levels.
    """

    def mean_square(error: Tensor, sigma: Tensor) -> Tensor:
        return error.square().flatten(1).mean(dim=1) / sigma**power

    def mean_absolute(error: Tensor, sigma: Tensor) -> Tensor:
        return error.abs().flatten(1).mean(dim=1) / sigma ** (power / 2)

    def proximal_matching(error: Tensor, sigma: Tensor) -> Tensor:
        return -(-error.square().flatten(1).mean(dim=1) / (gamma * sigma) ** 2).expm1()

    return {"mse": mean_square, "l1": mean_absolute, "proximal-matching": proximal_matching}[name]
