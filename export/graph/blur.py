"""Blur as a convolution, for graphs: kernels and images of any size at run time, and no Fourier transform.

The Fourier transforms of ONNX Runtime lose accuracy at sizes that are not powers of two, so `gradprox.physics` cannot
be traced. Convolutions are accurate. With kernels below about 100x100 taps they cost less than the denoiser.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gradprox.networks.borders import add_back, mirrored_indices
from gradprox.physics.starts import margins

BOUNDARIES = ("valid", "circular", "symmetric")


class GraphBlur:
    """The operators `gradprox.physics.CircularBlur`, `ValidBlur` and `SymmetricBlur`, with the same conventions.

    Args:
        kernel: ``(1, 1, h, w)``.
        boundary: ``"valid"``, where the unknown image is larger than the photo by the kernel; ``"circular"``; or
            ``"symmetric"``.
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
        if self.boundary == "symmetric":
            for dim in (-2, -1):
                x = x.index_select(dim, self.mirrored(x, dim))
        return _correlate(x, self.kernel.flip(-1, -2))

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Correlate with the kernel: the adjoint."""
        surrounded = y
        for dim in (-2, -1):
            size = self.kernel.shape[dim]
            if self.boundary == "circular":
                surrounded = _wrap(surrounded, dim, size // 2, size - 1 - size // 2)
            else:
                surrounded = _surround(surrounded, dim, size - 1)
        found = _correlate(surrounded, self.kernel)
        if self.boundary == "symmetric":
            for dim in (-2, -1):
                found = add_back(found, self.mirrored(y, dim), dim, y.shape[dim])
        return found

    def squared_norm(self) -> float:
        """See `gradprox.physics.contract.Physics`; the bound of Young's inequality.

        With mirrored borders an output still has weights of this sum, but up to four of them belong to one pixel.
        """
        return float(self.kernel.abs().sum()) ** 2 * (4 if self.boundary == "symmetric" else 1)

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> None:
        """See `gradprox.physics.contract.Physics`; a convolution has no closed form without Fourier transforms."""

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``, extended by its edge pixels to the size of the unknown image."""
        if self.boundary != "valid":
            return y
        for dim in (-2, -1):
            size = self.kernel.shape[dim]
            length = y.shape[dim]
            last = torch.full((1,), length - 1, dtype=torch.long, device=y.device)
            position = torch.arange(-(size - 1 - size // 2), length + size // 2, device=y.device)
            y = y.index_select(dim, torch.minimum(position.clamp_min(0), last))
        return y

    def mirrored(self, x: Tensor, dim: int) -> Tensor:
        """Return the pixel of ``x`` that each position of a line of the mirrored image repeats."""
        return mirrored_indices(x.shape[dim], *margins(self.kernel.shape[dim]))

    def visible(self, x: Tensor) -> Tensor:
        """Return the part of a restored image that lies in the frame of the photo."""
        if self.boundary != "valid":
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
