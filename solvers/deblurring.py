"""Deblurring of photos: the physics of a boundary, and the result in the frame of the photo."""

from __future__ import annotations

from deepinv.optim import DataFidelity
from torch import Tensor

from gradprox.physics import blur_of_photos
from gradprox.priors.contract import Prior
from gradprox.solvers.contract import Callback, Restorer
from gradprox.solvers.result import Result


def deblur_images(
    y: Tensor,
    kernel: Tensor,
    prior: Prior,
    restorer: Restorer,
    *,
    boundary: str = "valid",
    fidelity: DataFidelity | None = None,
    x0: Tensor | None = None,
    callback: Callback | None = None,
) -> tuple[Tensor, Result]:
    """Restore blurred images.

    Args:
        y: blurred images ``(B, C, H, W)``.
        kernel: ``(1 or B, 1 or C, h, w)``: one for all, or one per image or channel.
        prior: the denoiser that stands for the regularizer.
        restorer: a solver or a preset.
        boundary: ``"valid"`` for photos: their border pixels received light from outside the frame. ``"circular"``
            for images blurred with periodic borders, ``"symmetric"`` for mirrored borders.
        fidelity: the data term; ``|A x - y|^2 / 2`` if not given. `ClippedL2` is for photos with over- or underexposed
            pixels.
        x0: the first images of the iterations, of the size of ``y``, extended to the unknown image as ``y`` is; the
            physics' start if not given.
        callback: called after each step.

    Returns:
        Images of the size of ``y``, and the full result. With ``"valid"`` its images are larger than ``y``.

    Raises:
        InputError: an unknown boundary, or a kernel larger than the image.
    """
    physics = blur_of_photos(boundary, kernel, (y.shape[-2], y.shape[-1]), y.shape[1])
    start = None if x0 is None else physics.initial(x0)
    result = restorer(y, physics, prior, fidelity=fidelity, x0=start, callback=callback)
    return physics.visible(result.x), result
