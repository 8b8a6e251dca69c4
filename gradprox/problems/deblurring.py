"""Blur with a known kernel: on periodic pictures, and as a camera sees it, with unknown borders."""

from __future__ import annotations

import torch
from deepinv.physics import Blur, BlurFFT
from torch import Tensor

from gradprox.errors import InputError


class CircularBlur(BlurFFT):
    """Circular convolution ``y = k * x``, diagonal in Fourier space, with its exact norm.

    Args:
        kernel: ``(1, 1, h, w)``, odd sizes are centred; even ones at ``size // 2``.
        size: ``(H, W)`` of the picture.
        channels: channels of the picture; all see the same kernel.

    Raises:
        InputError: the kernel is larger than the picture.

    Example:
        >>> from gradprox.problems import motion_kernel
        >>> physics = CircularBlur(motion_kernel(5, 0), (24, 20))
        >>> physics(torch.rand(1, 1, 24, 20)).shape
        torch.Size([1, 1, 24, 20])
        >>> round(physics.squared_norm(), 5)
        1.0
    """

    def __init__(self, kernel: Tensor, size: tuple[int, int], channels: int = 1) -> None:
        check_kernel_fits(kernel, size)
        super().__init__(img_size=(channels, *size), filter=kernel, device=kernel.device)

    def squared_norm(self) -> float:
        """Return ``max |k^|^2`` over the frequencies of the picture: exact."""
        return float(self.mask.max()) ** 2

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``, the blurred picture itself."""
        return y

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, by the Fourier transform."""
        inverse: Tensor = self.prox_l2(z, y, 1 / weight)
        return inverse


class ValidBlur(Blur):
    """Convolution kept only where the kernel fits: ``(H, W)`` to ``(H - h + 1, W - w + 1)``.

    What a camera records: light from beyond the frame reaches its border. The unknown picture is larger than the
    photo by the kernel, so nothing has to be assumed about the border and none of it rings.

    Args:
        kernel: ``(1, 1, h, w)``.
        size: ``(H, W)`` of the unknown picture.

    Raises:
        InputError: the kernel is larger than the picture.

    Example:
        >>> from gradprox.problems import motion_kernel
        >>> physics = ValidBlur(motion_kernel(5, 0), (24, 20))
        >>> photo = physics(torch.rand(1, 1, 24, 20))
        >>> photo.shape, physics.visible(physics.initial(photo)).equal(photo)
        (torch.Size([1, 1, 20, 16]), True)
    """

    def __init__(self, kernel: Tensor, size: tuple[int, int]) -> None:
        check_kernel_fits(kernel, size)
        super().__init__(filter=kernel, padding="valid", use_fft=True, device=kernel.device)
        self.size = size

    def squared_norm(self) -> float:
        """Return ``max |k^|^2`` of the circular convolution on the same picture, of which this is a part.

        An upper bound: cropping has norm 1.
        """
        response = torch.fft.rfft2(self.filter.double(), s=self.size).abs()
        return float(response.max()) ** 2

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y`` continued by its edge pixels to the size of the unknown picture."""
        height, width = self.filter.shape[-2:]
        # A convolution looks back: the pixel y[i] is centred on x[i + (h - 1) - h // 2].
        top, left = (height - 1) - height // 2, (width - 1) - width // 2
        padding = (left, width - 1 - left, top, height - 1 - top)
        return torch.nn.functional.pad(y, padding, mode="replicate")

    def visible(self, x: Tensor) -> Tensor:
        """Crop a restored picture to the frame of the photo."""
        height, width = self.filter.shape[-2:]
        top, left = (height - 1) - height // 2, (width - 1) - width // 2
        return x[..., top : top + self.size[0] - height + 1, left : left + self.size[1] - width + 1]


def check_kernel_fits(kernel: Tensor, size: tuple[int, int]) -> None:
    """Refuse a kernel that is no ``(1, 1, h, w)`` tensor or is larger than a picture of ``(H, W)``.

    Raises:
        InputError: it is one of these.
    """
    if kernel.ndim != 4 or kernel.shape[:2] != (1, 1):
        raise InputError(f"a kernel is (1, 1, h, w), got {tuple(kernel.shape)}")
    height, width = kernel.shape[-2:]
    if height > size[0] or width > size[1]:
        raise InputError(
            f"the kernel ({height}x{width}) is larger than the picture ({size[0]}x{size[1]}): "
            "crop the kernel or use a larger picture"
        )
