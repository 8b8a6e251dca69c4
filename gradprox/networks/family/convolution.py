r"""Convolutional analysis operators with the exact adjoint of their border rule, and a Fourier bound.

The operator is ``W = C E``: ``E`` extends an image by index, ``C`` convolves where the filters fit. The adjoint
``E^T C^T`` adds what falls on the extension back to the pixels it was copied from, so the Jacobian of
``W^T g(W x)`` is symmetric at the borders too, with any filters. Cropping instead of ``E^T`` is what breaks it.

* ``"circular"``: ``W`` is a convolution on the torus and the Fourier bound is its norm. The default.
* ``"symmetric"``: half-sample symmetric, which leaves no seam at opposite borders. ``E`` then makes a quarter of
  a mirrored torus on which ``E^T E = 4 I``, so that ``|W| <= 2 |C|``: proven for any filters, and loose unless a
  image has all its energy in a corner.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.borders import mirrored_indices
from gradprox.networks.family.analysis import AnalysisOperator
from gradprox.networks.fourier_bound import fourier_gram_bound

Boundary = Literal["circular", "symmetric"]


class Conv2d(AnalysisOperator):
    """A bank of ``filters`` filters over images ``(B, channels, H, W)``, one output a pixel.

    Args:
        channels: of the images.
        filters: number of filters.
        kernel_size: taps a side; odd.
        boundary: how the image goes on beyond its border.
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
        if boundary not in ("circular", "symmetric"):
            raise ValueError(f"boundary must be 'circular' or 'symmetric', got {boundary!r}")
        self.channels, self.hidden, self.boundary = channels, filters, boundary
        self.margin = kernel_size // 2
        # As in `Dense`: between a norm of one and coefficients of order one.
        scale = min(1.0, channels / filters) ** 0.25 / (kernel_size * math.sqrt(channels))
        self.weight = nn.Parameter(torch.randn(filters, channels, kernel_size, kernel_size) * scale)
        self.bias = nn.Parameter(torch.randn(filters) / 4) if bias else None
        self.output_bias = nn.Parameter(torch.zeros(channels))

    def analyze(self, x: Tensor) -> Tensor:
        """See `AnalysisOperator.analyze`."""
        for dim in (-2, -1):
            x = x.index_select(dim, self._sources(x.shape[dim], x.device))
        return F.conv2d(x, self.weight, self.bias)

    def synthesize(self, z: Tensor, x: Tensor) -> Tensor:
        """See `AnalysisOperator.synthesize`."""
        image = F.conv_transpose2d(z, self.weight)
        for dim in (-2, -1):
            shape = list(image.shape)
            shape[dim] = x.shape[dim]
            sources = self._sources(x.shape[dim], x.device)
            image = image.new_zeros(shape).index_add(dim, sources, image)
        return image

    def offset(self, x: Tensor) -> Tensor:  # noqa: ARG002  the same for every size
        """See `AnalysisOperator.offset`."""
        return self.output_bias[:, None, None]

    def gram_bound(self, weights: Tensor) -> Tensor:
        """See `AnalysisOperator.gram_bound`; for images of any size."""
        bound = fourier_gram_bound(self.weight, weights)
        # A single tap sees no border.
        copies = 4 if self.boundary == "symmetric" and self.margin else 1
        return bound * (copies * (1 + 100 * torch.finfo(bound.dtype).eps))

    def _sources(self, length: int, device: torch.device) -> Tensor:
        """Return the pixel that each pixel of an extended line repeats."""
        if self.boundary == "symmetric":
            return mirrored_indices(length, self.margin, device)
        return torch.arange(-self.margin, length + self.margin, device=device) % length
