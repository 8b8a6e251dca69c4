"""Physics with a kernel or a mask per image: the physics of some of the images only.

Images of a batch stop one by one, and the rest of the batch should not carry them along. Where the physics holds
tensors per image, those of the remaining images are needed. They are given to a new physics; no physics is changed.
"""

from __future__ import annotations

import deepinv.physics
from deepinv.physics import Blur, BlurFFT
from torch import Tensor, nn

from gradprox.physics import Inpainting, LinearMap


def is_per_image(values: Tensor, batch: int) -> bool:
    """Return whether a kernel or mask ``(1 or B, C, h, w)`` holds one entry per image of a batch."""
    return batch > 1 and values.ndim >= 4 and values.shape[0] == batch


def images_are_known(physics: LinearMap, batch: int) -> bool:
    """Return whether `physics_of_images` works: no tensor is per image, or the class of the physics is known."""
    return isinstance(physics, Blur | BlurFFT | deepinv.physics.Inpainting) or not _has_tensors_per_image(
        physics, batch
    )


def physics_of_images(physics: LinearMap, keep: Tensor, batch: int) -> LinearMap:
    """Return the physics of the images at the indices ``keep``: of the same ``A``, without its noise model."""
    if not _has_tensors_per_image(physics, batch):
        return physics
    if isinstance(physics, BlurFFT):
        kernel = physics.filter[keep]
        return BlurFFT(physics.img_size, filter=kernel, device=kernel.device)
    if isinstance(physics, Blur):
        kernel = physics.filter[keep]
        return Blur(kernel, padding=physics.padding, use_fft=physics.use_fft, device=kernel.device)
    if isinstance(physics, Inpainting):
        return Inpainting(physics.mask[keep])
    if isinstance(physics, deepinv.physics.Inpainting):
        mask = physics.mask[keep]
        return deepinv.physics.Inpainting(tuple(mask.shape[1:]), mask=mask, device=mask.device)
    raise TypeError(f"{type(physics).__name__} does not tell which of its tensors belong to which image")


def _has_tensors_per_image(physics: LinearMap, batch: int) -> bool:
    return isinstance(physics, nn.Module) and any(is_per_image(b, batch) for b in physics.buffers())
