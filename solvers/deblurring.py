"""Deblurring photos: the right physics and start for a boundary, the result in the photo's frame."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradprox.errors import InputError
from gradprox.operators import LearnedProx
from gradprox.problems import CircularBlur, ValidBlur, check_kernel_fits
from gradprox.solvers.presets import Preset
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Callback, Solver

BOUNDARIES = ("valid", "circular")


def deblur_pictures(
    y: Tensor,
    kernel: Tensor,
    prior: LearnedProx,
    solver: Solver[Any] | Preset,
    *,
    boundary: str = "valid",
    callback: Callback | None = None,
) -> tuple[Tensor, Result]:
    """Restore blurred pictures.

    Args:
        y: blurred pictures ``(B, C, H, W)``.
        kernel: ``(1, 1, h, w)``.
        prior: the learned prox.
        solver: the algorithm and its settings, or a preset.
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
        result = solver(y, CircularBlur(kernel, (height, width), y.shape[1]), prior, callback=callback)
        return result.x, result
    if boundary != "valid":
        raise InputError(f"--boundary {boundary}: unknown; choose one of {', '.join(BOUNDARIES)}")
    # The unknown is larger than the photo, so any kernel fits it; but a kernel larger than the photo leaves no
    # pixel that the photo determines.
    check_kernel_fits(kernel, (height, width))
    size = (height + kernel.shape[-2] - 1, width + kernel.shape[-1] - 1)
    physics = ValidBlur(kernel, size)
    result = solver(y, physics, prior, callback=callback)
    return physics.visible(result.x), result
