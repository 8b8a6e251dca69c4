"""What lies beyond the frame of a blurred picture, by name."""

from __future__ import annotations

from torch import Tensor

from gradprox.errors import InputError
from gradprox.problems.deblurring import CircularBlur, ValidBlur, check_kernel_fits
from gradprox.problems.reflective_blur import ReflectiveBlur
from gradprox.problems.sizes import Size

BOUNDARIES = ("valid", "circular", "reflect")
AnyBlur = CircularBlur | ValidBlur | ReflectiveBlur


def blur_of_pictures(boundary: str, kernel: Tensor, size: Size, channels: int) -> AnyBlur:
    """Return what blurs pictures of ``(H, W)``.

    Args:
        boundary: ``"valid"``, as a camera does, which sees nothing of the margin; ``"circular"``, as if periodic;
            ``"reflect"``, as if mirrored.
        kernel: ``(1 or B, 1 or C, h, w)``.
        size: ``(H, W)``.
        channels: ``C``.

    Raises:
        InputError: an unknown boundary, or a kernel larger than the picture.
    """
    if boundary == "valid":
        return ValidBlur(kernel, size)
    if boundary == "circular":
        return CircularBlur(kernel, size, channels)
    if boundary == "reflect":
        return ReflectiveBlur(kernel, size)
    raise InputError(f"--boundary {boundary}: unknown; choose one of {', '.join(BOUNDARIES)}")


def blur_of_photos(boundary: str, kernel: Tensor, size: Size, channels: int) -> AnyBlur:
    """Return what made blurred photos of ``(H, W)``; see `blur_of_pictures`.

    The unknown picture of a ``"valid"`` boundary is larger than the photo, so any kernel fits it; but a kernel larger
    than the photo leaves no pixel that the photo determines, and is refused too.
    """
    check_kernel_fits(kernel, size)
    if boundary == "valid":
        size = (size[0] + kernel.shape[-2] - 1, size[1] + kernel.shape[-1] - 1)
    return blur_of_pictures(boundary, kernel, size, channels)
