"""The blur that belongs to a boundary, by the boundary's name: begin here to deblur photos."""

from __future__ import annotations

from torch import Tensor

from gradprox.errors import unknown
from gradprox.physics.checks import Size, check_kernel
from gradprox.physics.circular_blur import CircularBlur
from gradprox.physics.symmetric_blur import SymmetricBlur
from gradprox.physics.valid_blur import ValidBlur

BOUNDARIES = ("valid", "circular", "symmetric")
AnyBlur = CircularBlur | ValidBlur | SymmetricBlur


def blur_of_images(boundary: str, kernel: Tensor, size: Size, channels: int) -> AnyBlur:
    """Return the blur of sharp images of ``(H, W)``.

    Args:
        boundary: ``"valid"``, the blur of a camera, which crops the margin; ``"circular"``, of images that continue
            periodically; ``"symmetric"``, of images that continue as their mirror image.
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or one for each image or channel.
        size: ``(H, W)`` of the sharp images.
        channels: ``C`` of the images.

    Raises:
        InputError: an unknown boundary, or a kernel that is larger than the image or has neither one channel nor ``C``.
    """
    check_kernel(kernel, size, channels)
    if boundary == "valid":
        return ValidBlur(kernel, size)
    if boundary == "circular":
        return CircularBlur(kernel, size, channels)
    if boundary == "symmetric":
        return SymmetricBlur(kernel, size)
    raise unknown("boundary", boundary, BOUNDARIES)


def blur_of_photos(boundary: str, kernel: Tensor, size: Size, channels: int) -> AnyBlur:
    """Return the blur that made photos of ``(H, W)``; the arguments are those of `blur_of_images`.

    With a ``"valid"`` boundary the unknown image is larger than the photo, so every kernel fits it. A kernel larger
    than the photo is refused all the same: it leaves no pixel that the photo determines.
    """
    check_kernel(kernel, size, channels)
    if boundary == "valid":
        size = (size[0] + kernel.shape[-2] - 1, size[1] + kernel.shape[-1] - 1)
    return blur_of_images(boundary, kernel, size, channels)
