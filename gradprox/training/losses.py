r"""Training losses, one value per image. Each is minimized by another statistic of the posterior of ``x``.

``e`` is the error of an image with ``n`` samples.

* ``mse``: ``|e|^2 / n``, minimized by the posterior mean. Errors grow with the noise, so the loss is divided by
  ``sigma^loss_power``.
* ``l1``: ``|e|_1 / n``, minimized by the posterior median of each pixel. It is divided by ``sigma^(loss_power / 2)``.
* ``proximal-matching``: ``1 - exp(-|e|^2 / (n g^2))`` with ``g = gamma sigma``, minimized close to the posterior mode.
  The network then approaches the prox of the negative logarithm of the image distribution. It is due to Fang, Buchanan
  and Sulam, "What's in a prior? Learned proximal networks for inverse problems", ICLR 2024; their ``m_gamma`` has
  another constant factor, which changes no minimizer. A smaller ``g`` comes closer to the mode and trains more slowly,
  so start from a model trained with ``mse``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

LossName = Literal["mse", "l1", "proximal-matching"]
# Maps errors (B, C, H, W) and noise levels (B,) to the losses of the images, (B,).
Loss = Callable[[Tensor, Tensor], Tensor]


def image_loss(name: LossName, power: float, gamma: float) -> Loss:
    """Return a loss.

    Args:
        name: ``"mse"``, ``"l1"`` or ``"proximal-matching"``, see above.
        power: squared errors are divided by this power of the noise level, so that all levels weigh alike.
        gamma: width of proximal matching, in noise levels.
    """

    def mean_square(error: Tensor, sigma: Tensor) -> Tensor:
        return error.square().flatten(1).mean(dim=1) / sigma**power

    def mean_absolute(error: Tensor, sigma: Tensor) -> Tensor:
        return error.abs().flatten(1).mean(dim=1) / sigma ** (power / 2)

    def proximal_matching(error: Tensor, sigma: Tensor) -> Tensor:
        return -(-error.square().flatten(1).mean(dim=1) / (gamma * sigma) ** 2).expm1()

    return {"mse": mean_square, "l1": mean_absolute, "proximal-matching": proximal_matching}[name]
