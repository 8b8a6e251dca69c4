"""Deblurring photos: the right physics and start for a boundary, the result in the photo's frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from gradprox.errors import InputError
from gradprox.operators import LearnedProx
from gradprox.problems import CircularBlur, ValidBlur
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Solver, Step

BOUNDARIES = ("valid", "circular")


def deblur_pictures(
    y: Tensor,
    kernel: Tensor,
    prior: LearnedProx,
    solver: Solver[Any],
    *,
    boundary: str = "valid",
    callback: Callable[[Step], None] | None = None,
) -> tuple[Tensor, Result]:
    """Restore blurred pictures.

    Args:
        y: blurred pictures ``(B, C, H, W)``.
        kernel: ``(1, 1, h, w)``.
        prior: the learned prox.
        solver: the algorithm and its settings.
        boundary: ``"valid"`` for photos, whose border pixels received light from beyond the frame;
            ``"circular"`` for pictures that were blurred as if periodic.
        callback: called after every step.

    Returns:
        Pictures of the size of ``y``, and the solver's result (whose pictures are larger for ``"valid"``).

    Raises:
        InputError: an unknown boundary, or a kernel larger than the picture.
    """
    height, width = y.shape[-2:]
    if boundary == "circular":
        result = solver(y, CircularBlur(kernel, (height, width), y.shape[1]), prior, x0=y, callback=callback)
        return result.x, result
    if boundary != "valid":
        raise InputError(f"--boundary {boundary}: unknown; choose one of {', '.join(BOUNDARIES)}")
    # The unknown is larger than the photo, so any kernel fits it; but a kernel larger than the photo leaves no
    # pixel that the photo determines.
    if kernel.shape[-2] > height or kernel.shape[-1] > width:
        raise InputError(
            f"the kernel ({kernel.shape[-2]}x{kernel.shape[-1]}) is larger than the picture ({height}x{width}): "
            "crop the kernel or use a larger picture"
        )
    size = (height + kernel.shape[-2] - 1, width + kernel.shape[-1] - 1)
    physics = ValidBlur(kernel, size)
    result = solver(y, physics, prior, x0=physics.initial(y), callback=callback)
    return physics.visible(result.x), result
