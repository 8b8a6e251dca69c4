"""Blur of images that continue periodically beyond their frame."""

from __future__ import annotations

from deepinv.physics import BlurFFT
from torch import Tensor

from gradprox.physics.checks import Shape, Size, check_kernel
from gradprox.physics.convolution_fit import SeenConvolution
from gradprox.physics.forward_operator import ForwardOperator, channels_of, images_of
from gradprox.physics.rounding import without_rounding_below_zero


class CircularBlur(ForwardOperator, BlurFFT):
    """Circular convolution ``y = k * x``, diagonal in Fourier space, with its exact norm.

    ``A x`` is never below 0 where kernel and image are not; see `gradprox.physics.rounding`.

    Args:
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or one for each image or channel. The center of an odd size is
            its middle, that of an even size lies at ``size // 2``.
        size: ``(H, W)`` of the images.
        channels: ``C``, channels of the images.

    Raises:
        InputError: the kernel is larger than the image, is not finite, or has neither one channel nor ``C``.

    Example:
        >>> import torch
        >>> from gradprox.physics import motion_kernel
        >>> physics = CircularBlur(motion_kernel(5, 0), (24, 20))
        >>> physics(torch.rand(1, 1, 24, 20)).shape
        torch.Size([1, 1, 24, 20])
        >>> round(physics.squared_norm(), 5)
        1.0
    """

    def __init__(self, kernel: Tensor, size: Size, channels: int = 1) -> None:
        check_kernel(kernel, size, channels)
        super().__init__(img_size=(channels, *size), filter=kernel, device=kernel.device)

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return channels_of(self.filter), self.img_size[1], self.img_size[2]

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return self.image_shape

    @property
    def images(self) -> int | None:
        """See `ForwardOperator.images`."""
        return images_of(self.filter)

    def A(self, x: Tensor, filter: Tensor | None = None, **_: object) -> Tensor:  # noqa: A002
        """Blur ``(B, C, H, W)``; ``filter`` replaces the kernel from here on, as in deepinv."""
        self._replace(filter)
        self.check_images(x)
        return without_rounding_below_zero(BlurFFT.A(self, x), x, self.filter)

    def A_adjoint(self, y: Tensor, filter: Tensor | None = None, **_: object) -> Tensor:  # noqa: A002
        """Apply ``A^T`` to ``(B, C, H, W)``; ``filter`` replaces the kernel from here on, as in deepinv."""
        self._replace(filter)
        self.check_measurements(y)
        image: Tensor = BlurFFT.A_adjoint(self, y)
        return image

    # A module's `float()` and `double()` leave complex buffers alone, and deepinv's phases are complex.
    def U(self, x: Tensor) -> Tensor:
        """Turn the phases of Fourier coefficients and return to images; see `deepinv.physics.BlurFFT`."""
        return super().U(x).to(x.dtype)

    def U_adjoint(self, x: Tensor) -> Tensor:
        """Apply the adjoint of `U`."""
        return super().U_adjoint(x).to(x.dtype)

    def squared_norm(self) -> float:
        """Return ``max |k^|^2`` over the frequencies of the images: exact (of several kernels, the largest)."""
        return float(self.mask.max()) ** 2

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``, the blurred image itself."""
        self.check_measurements(y)
        return y

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, by the Fourier transform."""
        inverse: Tensor = self.prox_l2(z, y, 1 / weight)
        return inverse

    def solve_fit(
        self, right: Tensor, weight: float, start: Tensor, weights: Tensor | None, tolerance: float
    ) -> Tensor:
        """See `gradprox.physics.contract.SolvesFits`; equal weights have a closed form, `regularized_inverse`."""
        everything = (slice(None), slice(None))
        response = self.mask[..., 0] * self.angle
        seen = SeenConvolution(response, (self.img_size[1], self.img_size[2]), everything)
        return seen.solve(right, weight, start, weights, tolerance)

    def _replace(self, kernel: Tensor | None) -> None:
        if kernel is not None:
            channels, *size = self.img_size
            check_kernel(kernel, (size[0], size[1]), channels)
            self.update_parameters(filter=kernel)
