r"""The sharp edges of a blurred image: the l0-gradient prior.

    x = argmin |k * x - y|^2 + weight |grad x|_0

where ``|grad x|_0`` counts the pixels with a gradient. It keeps few, strong edges and flattens texture, so that a
kernel fitted to the edges is not that of no blur (Pan, Hu, Su and Yang, CVPR 2014). The solution is approximated by
half-quadratic splitting (Xu, Lu, Xu and Jia, ACM Trans. Graph. 2011): gradients below a threshold become zero, a linear
system is solved in the Fourier domain, and the coupling of the two doubles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.blind.periodic import difference_responses, differences, transfer_function

# The coupling doubles from twice the weight up to this.
LARGEST_COUPLING = 1e5


def sharp_edges(y: Tensor, kernel: Tensor, weight: float) -> Tensor:
    """Return an image of sharp edges that a kernel blurs to ``y``.

    Args:
        y: a periodic blurred image, ``(1, 1, H, W)``.
        kernel: ``(1, 1, h, w)``, with odd sides.
        weight: of the prior; a larger one keeps fewer edges.
    """
    size = (y.shape[-2], y.shape[-1])
    response, slopes = transfer_function(kernel, size), difference_responses(y)
    explained = response.conj() * torch.fft.rfft2(y)
    data, smooth = response.abs().square(), slopes.abs().square().sum(dim=1, keepdim=True)
    x, coupling = y, 2 * weight
    while coupling < LARGEST_COUPLING:
        gradient = differences(x)
        gradient = gradient * (gradient.square().sum(dim=1, keepdim=True) >= weight / coupling)
        wanted = (slopes.conj() * torch.fft.rfft2(gradient)).sum(dim=1, keepdim=True)
        x = torch.fft.irfft2((explained + coupling * wanted) / (data + coupling * smooth), s=size)
        coupling *= 2
    return x
