"""Deblurring photos: the right physics and start for a boundary, the result in the photo's frame."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradprox.physics import blur_of_photos
from gradprox.priors import LearnedProx
from gradprox.solvers.discrepancy import DiscrepancyPreset
from gradprox.solvers.presets import Preset
from gradprox.solvers.result import Result
from gradprox.solvers.solver import Callback, Solver


def deblur_images(
    y: Tensor,
    kernel: Tensor,
    prior: LearnedProx,
    solver: Solver[Any] | Preset | DiscrepancyPreset,
    *,
    boundary: str = "valid",
    callback: Callback | None = None,
) -> tuple[Tensor, Result]:
    """Restore blurred images.

    Args:
        y: blurred images ``(B, C, H, W)``.
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or for each image or channel its own.
        prior: the learned prox.
        solver: the algorithm and its settings, or a preset.
        boundary: ``"valid"`` for photos, whose border pixels received light from beyond the frame;
            ``"circular"`` for images that were blurred as if periodic, ``"symmetric"`` as if mirrored.
        callback: called after every step.

    Returns:
        Images of the size of ``y``, and the solver's result (whose images are larger for ``"valid"``).

    Raises:
        InputError: an unknown boundary, or a kernel larger than the image.
    """
    physics = blur_of_photos(boundary, kernel, (y.shape[-2], y.shape[-1]), y.shape[1])
    result = solver(y, physics, prior, callback=callback)
    return physics.visible(result.x), result
