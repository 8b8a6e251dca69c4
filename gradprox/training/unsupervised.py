r"""Losses of noisy images alone, one value per image: no clean image is needed.

* ``sure`` is Stein's unbiased risk estimate (C. Stein, Ann. Stat. 9, 1981). For ``y = x + sigma n`` with white Gaussian
  noise, and a denoiser ``D`` with Jacobian ``J``,

      E |D(y) - x|^2 / n = E [ |D(y) - y|^2 / n - sigma^2 + 2 sigma^2 trace J(y) / n ].

  Random signs ``b`` estimate the trace: ``E b^T J b = trace J`` (M. F. Hutchinson, Commun. Stat. 18, 1989). The
  Jacobian of a gradient network is symmetric. Therefore one reverse pass gives the exact product ``J b``, and a second
  one differentiates it with respect to the weights. A step takes about 2.5 times as long as with clean images. A finite
  difference would take 1.8 times as long, but its error is not small: these networks bend within a few gray levels.
* ``neighbor2neighbor`` needs no noise level, and noise of any distribution, as long as its mean is zero and it is
  independent from pixel to pixel (T. Huang et al., CVPR 2021; `deepinv.loss.Neighbor2Neighbor`). Two images of half the
  size are drawn from neighboring pixels. The first one, denoised, predicts the second one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from deepinv.loss import Neighbor2Neighbor
from torch import Tensor
from torch.nn import functional as F

from gradprox.batch import image_sum

if TYPE_CHECKING:
    from typing_extensions import TypeIs

UnsupervisedLoss = Literal["sure", "neighbor2neighbor"]
# The weight that the authors use for synthetic noise.
CONSISTENCY = 2.0
# Maps noisy images (B, C, H, W) to denoised ones.
Denoise = Callable[[Tensor], Tensor]


def is_unsupervised(loss: str) -> TypeIs[UnsupervisedLoss]:
    """Return whether a loss does without clean images."""
    return loss in ("sure", "neighbor2neighbor")


def sure(denoise: Denoise, noisy: Tensor, sigma: Tensor, signs: Tensor, *, differentiable: bool) -> Tensor:
    """Return the unbiased estimate of the mean squared error of denoised images, ``(B,)``.

    Args:
        denoise: the network at the noise levels, with a symmetric Jacobian.
        noisy: images ``(B, C, H, W)`` with white Gaussian noise.
        sigma: its standard deviations, ``(B,)``.
        signs: as `gradprox.priors.probing.random_signs` draws them, shaped like ``noisy``.
        differentiable: whether the estimate can be differentiated with respect to the weights.
    """
    with torch.enable_grad():
        at = noisy.detach().requires_grad_()
        denoised = denoise(at)
        (product,) = torch.autograd.grad(denoised, at, signs.to(denoised), create_graph=differentiable)
    if not differentiable:
        denoised = denoised.detach()
    count = noisy[0].numel()
    residual = image_sum((denoised - noisy).square()) / count
    return residual - sigma**2 + 2 * sigma**2 * image_sum(signs * product) / count


def neighbor2neighbor(
    denoise: Denoise, noisy: Tensor, seed: int, *, consistency: float = CONSISTENCY
) -> Tensor:
    """Return the Neighbor2Neighbor loss, ``(B,)``.

    Args:
        denoise: the network; it also gets images of half the size.
        noisy: images ``(B, C, H, W)`` of even height and width.
        seed: determines the pairs of neighbors.
        consistency: weight of the term by which the two images may differ as the denoised ones do. With 0, the loss is
            the mean squared error of the prediction.
    """

    def distance(first: Tensor, second: Tensor) -> Tensor:
        return F.mse_loss(first, second, reduction="none").flatten(1).mean(dim=1)

    devices = [noisy.device] if noisy.device.type == "cuda" else []
    # deepinv draws the pairs from torch's global state, which is left as it was.
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        loss: Tensor = Neighbor2Neighbor(metric=distance, gamma=consistency)(
            noisy, None, lambda y, _: denoise(y)
        )
    return loss
