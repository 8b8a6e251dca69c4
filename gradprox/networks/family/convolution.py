r"""Convolutional analysis operators with the exact adjoint of their border rule and a Fourier bound of their norm.

The operator is ``W = C E``: ``E`` extends an image (`gradprox.networks.borders`) and ``C`` convolves without padding.
The adjoint ``E^T C^T`` folds the margin back onto the pixels that it repeats. Therefore the Jacobian of
``W^T g(W x)`` is symmetric at the borders too, for all filters. Cropping in place of ``E^T`` would break the symmetry.

* ``"circular"``, the default: ``W`` is a convolution on the torus, and the Fourier bound is its norm.
* ``"symmetric"``: no seam joins opposite borders. One period of the mirrored torus has four copies of the image, so
  ``E^T E = 4 I`` and ``|W| <= 2 |C|``. The bound holds for all filters. It is loose unless all the energy of an image
  lies in a corner.
"""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.borders import Boundary, extend, fold
from gradprox.networks.family.analysis import AnalysisOperator
from gradprox.networks.fourier_bound import fourier_gram_bound


class Conv2d(AnalysisOperator):
    """A bank of filters over images ``(B, channels, H, W)``, with one output per filter and pixel.

    Args:
        channels: number of channels of the images.
        filters: number of filters.
        kernel_size: taps per side; odd.
        boundary: border rule; see `gradprox.networks.borders`.
        bias: whether coefficients have a bias.

    Raises:
        ValueError: a size is not positive, the kernel is even, or the boundary is unknown.
    """

    channels: int

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        *,
        boundary: Boundary = "circular",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if min(channels, filters, kernel_size) < 1 or kernel_size % 2 == 0:
            raise ValueError(
                "channels and filters must be positive and kernel_size odd, "
                f"got {channels}, {filters} and {kernel_size}"
            )
        if boundary not in get_args(Boundary):
            raise ValueError(f"boundary must be 'circular' or 'symmetric', got {boundary!r}")
        self.channels, self.hidden, self.boundary = channels, filters, boundary
        self.margin = kernel_size // 2
        # The same compromise as in `Dense`, between a norm of one and coefficients of order one.
        scale = min(1.0, channels / filters) ** 0.25 / (kernel_size * math.sqrt(channels))
        self.weight = nn.Parameter(torch.randn(filters, channels, kernel_size, kernel_size) * scale)
        self.bias = nn.Parameter(torch.randn(filters) / 4) if bias else None
        self.output_bias = nn.Parameter(torch.zeros(channels))

    def analyze(self, x: Tensor) -> Tensor:
        """See `AnalysisOperator.analyze`."""
        return F.conv2d(extend(x, self.margin, self.boundary), self.weight, self.bias)

    def synthesize(self, z: Tensor, x: Tensor) -> Tensor:  # noqa: ARG002  the shape follows from z
        """See `AnalysisOperator.synthesize`."""
        return fold(F.conv_transpose2d(z, self.weight), self.margin, self.boundary)

    def offset(self, x: Tensor) -> Tensor:  # noqa: ARG002  the same for every size
        """See `AnalysisOperator.offset`."""
        return self.output_bias[:, None, None]

    def gram_bound(self, weights: Tensor) -> Tensor:
        """See `AnalysisOperator.gram_bound`; valid for images of every size."""
        bound = fourier_gram_bound(self.weight, weights)
        # A kernel of one tap does not reach beyond the border.
        copies = 4 if self.boundary == "symmetric" and self.margin else 1
        return bound * (copies * (1 + 100 * torch.finfo(bound.dtype).eps))
