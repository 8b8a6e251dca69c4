"""Blur as a convolution, for graphs: kernels and images of any size at run time, and no Fourier transform.

The Fourier transforms of ONNX Runtime lose accuracy at sizes that are not powers of two, so `gradprox.physics` cannot
be traced. Convolutions are accurate. With kernels below about 100x100 taps they cost less than the denoiser.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BOUNDARIES = ("valid", "circular")


class GraphBlur:
    """The operators `gradprox.physics.CircularBlur` and `ValidBlur`, with the same conventions.

    Args:
        kernel: ``(1, 1, h, w)``.
        boundary: ``"valid"``, where the unknown image is larger than the photo by the kernel, or ``"circular"``.
    """

    def __init__(self, kernel: Tensor, boundary: str) -> None:
        self.kernel = kernel
        self.boundary = boundary

    def A(self, x: Tensor) -> Tensor:
        """Convolve: ``y[i] = sum_j k[j] x[i - j + center]``, the center at ``size // 2``."""
        if self.boundary == "circular":
            for dim in (-2, -1):
                size = self.kernel.shape[dim]
                x = _wrap(x, dim, size - 1 - size // 2, size // 2)
        return _correlate(x, self.kernel.flip(-1, -2))

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Correlate with the kernel: the adjoint."""
        for dim in (-2, -1):
            size = self.kernel.shape[dim]
            if self.boundary == "circular":
                y = _wrap(y, dim, size // 2, size - 1 - size // 2)
            else:
                y = _surround(y, dim, size - 1)
        return _correlate(y, self.kernel)

    def squared_norm(self) -> float:
        """See `gradprox.physics.contract.Physics`; the bound of Young's inequality."""
        return float(self.kernel.abs().sum()) ** 2

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> None:
        """See `gradprox.physics.contract.Physics`; a convolution has no closed form without Fourier transforms."""

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``, extended by its edge pixels to the size of the unknown image."""
        if self.boundary == "circular":
            return y
        for dim in (-2, -1):
            size = self.kernel.shape[dim]
            length = y.shape[dim]
            last = torch.full((1,), length - 1, dtype=torch.long, device=y.device)
            position = torch.arange(-(size - 1 - size // 2), length + size // 2, device=y.device)
            y = y.index_select(dim, torch.minimum(position.clamp_min(0), last))
        return y

    def visible(self, x: Tensor) -> Tensor:
        """Return the part of a restored image that lies in the frame of the photo."""
        if self.boundary == "circular":
            return x
        for dim in (-2, -1):
            size = self.kernel.shape[dim]
            x = x.narrow(dim, size - 1 - size // 2, x.shape[dim] - size + 1)
        return x


def _correlate(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the correlation of each channel, at the positions where the kernel fits."""
    batch, channels, height, width = x.shape
    out = F.conv2d(x.reshape(batch * channels, 1, height, width), kernel)
    return out.view(batch, channels, out.shape[-2], out.shape[-1])


def _wrap(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Extend an axis periodically."""
    length = x.shape[dim]
    period = torch.full((1,), length, dtype=torch.long, device=x.device)
    return x.index_select(dim, torch.arange(-before, length + after, device=x.device) % period)


def _surround(x: Tensor, dim: int, margin: int) -> Tensor:
    """Extend an axis by ``margin`` zeros on either side."""
    return F.pad(x, (margin, margin) if dim == -1 else (0, 0, margin, margin))
