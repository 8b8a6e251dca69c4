"""Blur as a camera sees it: beyond the frame lies an unknown part of the scene."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from gradprox.physics.checks import Shape, Size, check_kernel
from gradprox.physics.convolution_fit import SeenConvolution
from gradprox.physics.forward_operator import ForwardOperator, channels_of, images_of
from gradprox.physics.rounding import without_rounding_below_zero
from gradprox.physics.starts import extended, margins


class ValidBlur(ForwardOperator):
    """Convolution kept only where the kernel fits: ``(H, W)`` to ``(H - h + 1, W - w + 1)``.

    This is the blur of a camera: light from beyond the frame reaches the border of the photo. The unknown image is
    larger than the photo by the kernel, so nothing is assumed about the border and no part of it rings.

    It is computed as a part of a circular convolution: where the kernel fits, nothing wraps around. The period is the
    next length that suits the Fourier transform. ``A x`` is never below 0 where kernel and image are not; see
    `gradprox.physics.rounding`.

    Args:
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or one for each image or channel.
        size: ``(H, W)`` of the unknown image.

    Raises:
        InputError: the kernel is larger than the image, or is not finite.

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
        check_kernel(kernel, size)
        self.size = size
        self.period = (next_fast_len(size[0], real=True), next_fast_len(size[1], real=True))
        self.register_buffer("filter", kernel)
        response = torch.fft.rfft2(kernel.double(), s=self.period)
        self._squared_norm = float(response.abs().max()) ** 2
        # As pairs of reals: a module's `float()` and `double()` leave complex buffers alone.
        self.register_buffer("response", torch.view_as_real(response).to(kernel.dtype))

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return channels_of(self.filter), *self.size

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        height, width = self.filter.shape[-2:]
        return channels_of(self.filter), self.size[0] - height + 1, self.size[1] - width + 1

    @property
    def images(self) -> int | None:
        """See `ForwardOperator.images`."""
        return images_of(self.filter)

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Blur ``(B, C, H, W)``."""
        self.check_images(x)
        (height, width), (bottom, right) = self.filter.shape[-2:], self.size

        def blurred(plane: Tensor, response: Tensor) -> Tensor:
            y = torch.fft.irfft2(torch.fft.rfft2(plane, s=self.period) * response, s=self.period)
            y = y[..., height - 1 : bottom, width - 1 : right]
            return without_rounding_below_zero(y, plane, self.filter)

        return self._by_planes(blurred, x)

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, H - h + 1, W - w + 1)``."""
        self.check_measurements(y)
        (height, width), (bottom, right) = self.filter.shape[-2:], self.size

        def back(plane: Tensor, response: Tensor) -> Tensor:
            shifted = F.pad(plane, (width - 1, 0, height - 1, 0))
            spectrum = torch.fft.rfft2(shifted, s=self.period) * response.conj()
            return torch.fft.irfft2(spectrum, s=self.period)[..., :bottom, :right]

        return self._by_planes(back, y)

    def solve_fit(
        self, right: Tensor, weight: float, start: Tensor, weights: Tensor | None, tolerance: float
    ) -> Tensor:
        """See `gradprox.physics.contract.SolvesFits`."""
        (height, width), (bottom, right_end) = self.filter.shape[-2:], self.size
        seen = SeenConvolution(
            torch.view_as_complex(self.response),
            self.period,
            (slice(height - 1, bottom), slice(width - 1, right_end)),
        )
        return seen.solve(right, weight, start, weights, tolerance)

    def _by_planes(self, apply: Callable[[Tensor, Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply a map of channels and their response to images, channel by channel: spectra take much memory."""
        responses = torch.view_as_complex(self.response).expand(-1, images.shape[1], -1, -1)
        planes = zip(images.split(1, dim=1), responses.split(1, dim=1), strict=True)
        return torch.cat([apply(plane, response) for plane, response in planes], dim=1)

    def squared_norm(self) -> float:
        """Return ``max |k^|^2`` of the circular convolution that contains this one.

        It is an upper bound, because cropping and adding zeros have norm 1.
        """
        return self._squared_norm

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``, continued by its edge pixels to the size of the unknown image."""
        self.check_measurements(y)
        return extended(y, *self.size)

    def visible(self, x: Tensor) -> Tensor:
        """Crop a restored image to the frame of the photo."""
        (top, bottom), (left, right) = (margins(length) for length in self.filter.shape[-2:])
        return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]
