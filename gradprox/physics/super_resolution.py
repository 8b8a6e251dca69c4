"""Super-resolution: the measurements are every ``s``-th pixel of every ``s``-th row of a blurred image."""

from __future__ import annotations

import torch
from deepinv.physics.functional import bicubic_filter
from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics.checks import Shape, Size, check_size
from gradprox.physics.circular_blur import CircularBlur
from gradprox.physics.forward_operator import ForwardOperator


class SuperResolution(ForwardOperator):
    r"""Circular blur ``K``, then every ``factor``-th pixel: ``A = S K``, from ``(H, W)`` to ``(H/s, W/s)``.

    ``A A^T`` is a circular convolution of small images. Its response is the mean of ``|k^|^2`` over the frequencies
    that subsampling maps to one. So the norm is exact and least squares have a closed form (Zhao et al., IEEE Trans.
    Image Process. 2016).

    Args:
        size: ``(H, W)`` of the large images, multiples of the factor.
        factor: ``s``.
        kernel: ``(1 or B, 1 or C, h, w)``, the filter against aliasing; `bicubic_kernel` if not given.
        channels: ``C``, channels of the images.

    Raises:
        InputError: sizes are no multiples of the factor, or the kernel is larger than the image.
    """

    response: Tensor

    def __init__(self, size: Size, factor: int, kernel: Tensor | None = None, channels: int = 1) -> None:
        super().__init__()
        check_size(size)
        if factor < 1 or any(length % factor for length in size):
            raise InputError(
                f"the size must be a multiple of the factor, got {size[0]}x{size[1]} and {factor}"
            )
        self.factor = factor
        self.blur = CircularBlur(bicubic_kernel(factor) if kernel is None else kernel, size, channels)
        spectrum = torch.fft.fft2(self.blur.filter.double(), s=size).abs().square()
        height, width = size[0] // factor, size[1] // factor
        mixed = spectrum.unflatten(-1, (factor, width)).unflatten(-3, (factor, height)).mean(dim=(-4, -2))
        self._squared_norm = float(mixed.max())
        self.register_buffer("response", mixed.to(self.blur.filter.dtype))

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return self.blur.image_shape

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return self.image_shape[0], self.response.shape[-2], self.response.shape[-1]

    @property
    def images(self) -> int | None:
        """See `ForwardOperator.images`."""
        return self.blur.images

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Blur and subsample ``(B, C, H, W)``."""
        self.check_images(x)
        small: Tensor = self.blur.A(x)[..., :: self.factor, :: self.factor]
        return small

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, H/s, W/s)``."""
        self.check_measurements(y)
        height, width = y.shape[-2:]
        spread = y.new_zeros(*y.shape[:2], height * self.factor, width * self.factor)
        spread[..., :: self.factor, :: self.factor] = y
        large: Tensor = self.blur.A_adjoint(spread)
        return large

    def squared_norm(self) -> float:
        """Return the largest response of ``A A^T``: exact."""
        return self._squared_norm

    def initial(self, y: Tensor) -> Tensor:
        """Return ``s^2 A^T y``: the kernel interpolates, and a constant image stays as bright as it is."""
        return self.factor**2 * self.A_adjoint(y)

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2 = z + A^T (A A^T + weight)^{-1} (y - A z)``."""
        self.check_measurements(y)
        spectrum = torch.fft.fft2(y - self.A(z)) / (self.response + weight)
        return z + self.A_adjoint(torch.fft.ifft2(spectrum).real)


def bicubic_kernel(factor: int) -> Tensor:
    """Return the kernel of bicubic downscaling (Keys 1981, a = -1/2), ``(1, 1, 4 factor, 4 factor)``.

    Its middle lies half a pixel beyond the pixel that is kept.
    """
    kernel: Tensor = bicubic_filter(factor)
    return kernel
