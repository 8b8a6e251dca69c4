"""Blur with a known kernel: on periodic images, and as a camera sees it, with unknown borders."""

from __future__ import annotations

import torch
from deepinv.physics import BlurFFT, LinearPhysics
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from gradprox.errors import InputError
from gradprox.physics.sizes import Size, check_size


class CircularBlur(BlurFFT):
    """Circular convolution ``y = k * x``, diagonal in Fourier space, with its exact norm.

    Args:
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or for each image or channel its own; odd sizes are centered,
            even ones at ``size // 2``.
        size: ``(H, W)`` of the images.
        channels: ``C``, channels of the images.

    Raises:
        InputError: the kernel is larger than the image, or it has neither one channel nor ``C``.

    Example:
        >>> from gradprox.physics import motion_kernel
        >>> physics = CircularBlur(motion_kernel(5, 0), (24, 20))
        >>> physics(torch.rand(1, 1, 24, 20)).shape
        torch.Size([1, 1, 24, 20])
        >>> round(physics.squared_norm(), 5)
        1.0
    """

    def __init__(self, kernel: Tensor, size: Size, channels: int = 1) -> None:
        check_kernel_fits(kernel, size)
        if kernel.shape[1] not in (1, channels):
            raise InputError(f"the kernel has {kernel.shape[1]} channels, the image {channels}")
        super().__init__(img_size=(channels, *size), filter=kernel, device=kernel.device)

    # A module's `float()` and `double()` leave complex buffers alone, as deepinv's phases are.
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
        return y

    def visible(self, x: Tensor) -> Tensor:
        """Return ``x``: nothing of it lies beyond the frame."""
        return x

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2``, by the Fourier transform."""
        inverse: Tensor = self.prox_l2(z, y, 1 / weight)
        return inverse


class ValidBlur(LinearPhysics):
    """Convolution kept only where the kernel fits: ``(H, W)`` to ``(H - h + 1, W - w + 1)``.

    What a camera records: light from beyond the frame reaches its border. The unknown image is larger than the
    photo by the kernel, so nothing has to be assumed about the border and none of it rings.

    It is computed as a part of a circular convolution: where the kernel fits, nothing wraps around. Its period is the
    next length that suits the Fourier transform.

    Args:
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or for each image or channel its own.
        size: ``(H, W)`` of the unknown image.

    Raises:
        InputError: the kernel is larger than the image.

    Example:
        >>> from gradprox.physics import motion_kernel
        >>> physics = ValidBlur(motion_kernel(5, 0), (24, 20))
        >>> photo = physics(torch.rand(1, 1, 24, 20))
        >>> photo.shape, physics.visible(physics.initial(photo)).equal(photo)
        (torch.Size([1, 1, 20, 16]), True)
    """

    filter: Tensor
    response: Tensor

    def __init__(self, kernel: Tensor, size: Size) -> None:
        super().__init__()
        check_kernel_fits(kernel, size)
        self.size = size
        self.period = (next_fast_len(size[0], real=True), next_fast_len(size[1], real=True))
        self.register_buffer("filter", kernel)
        response = torch.fft.rfft2(kernel.double(), s=self.period)
        self._squared_norm = float(response.abs().max()) ** 2
        # As pairs of reals: a module's `float()` and `double()` leave complex buffers alone.
        self.register_buffer("response", torch.view_as_real(response).to(kernel.dtype))

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Blur ``(B, C, H, W)``."""
        spectrum = torch.fft.rfft2(x, s=self.period) * torch.view_as_complex(self.response)
        (height, width), (bottom, right) = self.filter.shape[-2:], self.size
        return torch.fft.irfft2(spectrum, s=self.period)[..., height - 1 : bottom, width - 1 : right]

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, H - h + 1, W - w + 1)``."""
        (height, width), (bottom, right) = self.filter.shape[-2:], self.size
        spectrum = torch.fft.rfft2(F.pad(y, (width - 1, 0, height - 1, 0)), s=self.period)
        spectrum = spectrum * torch.view_as_complex(self.response).conj()
        return torch.fft.irfft2(spectrum, s=self.period)[..., :bottom, :right]

    def squared_norm(self) -> float:
        """Return ``max |k^|^2`` of the circular convolution of which this is a part.

        An upper bound: cropping and adding zeros have norm 1.
        """
        return self._squared_norm

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y`` continued by its edge pixels to the size of the unknown image."""
        top, bottom = margins(self.filter.shape[-2])
        left, right = margins(self.filter.shape[-1])
        return F.pad(y, (left, right, top, bottom), mode="replicate")

    def visible(self, x: Tensor) -> Tensor:
        """Crop a restored image to the frame of the photo."""
        (top, bottom), (left, right) = (margins(length) for length in self.filter.shape[-2:])
        return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def margins(length: int) -> tuple[int, int]:
    """Return how far a kernel of this length reaches before and after a pixel of what it blurs.

    A convolution looks back: the pixel ``y[i]`` of a valid one is centered on ``x[i + (h - 1) - h // 2]``.
    """
    after = length // 2
    return length - 1 - after, after


def check_kernel_fits(kernel: Tensor, size: Size) -> None:
    """Refuse a kernel that is no ``(B, C, h, w)`` tensor or is larger than an image of ``(H, W)``.

    Raises:
        InputError: it is one of these.
    """
    check_size(size)
    if not isinstance(kernel, Tensor) or kernel.ndim != 4 or kernel.numel() == 0:
        got = tuple(kernel.shape) if isinstance(kernel, Tensor) else type(kernel).__name__
        raise InputError(f"a kernel is a tensor (1 or B, 1 or C, h, w), got {got}")
    height, width = kernel.shape[-2:]
    if height > size[0] or width > size[1]:
        raise InputError(
            f"the kernel ({height}x{width}) is larger than the image ({size[0]}x{size[1]}): "
            "crop the kernel or use a larger image"
        )
