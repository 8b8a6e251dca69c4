"""What lies beyond the frame of a blurred image, by name."""

from __future__ import annotations

from torch import Tensor

from gradprox.errors import InputError
from gradprox.physics.blur import CircularBlur, ValidBlur, check_kernel_fits
from gradprox.physics.sizes import Size
from gradprox.physics.symmetric_blur import SymmetricBlur

BOUNDARIES = ("valid", "circular", "symmetric")
AnyBlur = CircularBlur | ValidBlur | SymmetricBlur


def blur_of_images(boundary: str, kernel: Tensor, size: Size, channels: int) -> AnyBlur:
    """Return what blurs images of ``(H, W)``.

    Args:
        boundary: ``"valid"``, as a camera does, which sees nothing of the margin; ``"circular"``, as if periodic;
            ``"symmetric"``, as if mirrored.
        kernel: ``(1 or B, 1 or C, h, w)``.
        size: ``(H, W)``.
        channels: ``C``.

    Raises:
        InputError: an unknown boundary, or a kernel larger than the image.
    """
    if boundary == "valid":
        return ValidBlur(kernel, size)
    if boundary == "circular":
        return CircularBlur(kernel, size, channels)
    if boundary == "symmetric":
        return SymmetricBlur(kernel, size)
    raise InputError(f"boundary {boundary}: unknown; choose one of {', '.join(BOUNDARIES)}")


def blur_of_photos(boundary: str, kernel: Tensor, size: Size, channels: int) -> AnyBlur:
    """Return what made blurred photos of ``(H, W)``; see `blur_of_images`.

    The unknown image of a ``"valid"`` boundary is larger than the photo, so any kernel fits it; but a kernel larger
    than the photo leaves no pixel that the photo determines, and is refused too.
    """
    check_kernel_fits(kernel, size)
    if boundary == "valid":
        size = (size[0] + kernel.shape[-2] - 1, size[1] + kernel.shape[-1] - 1)
    return blur_of_images(boundary, kernel, size, channels)
