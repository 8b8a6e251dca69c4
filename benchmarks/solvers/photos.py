"""Photos that are blurred beyond their frame, and their restoration."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from deepinv.loss.metric import PSNR
from middle import read_middle
from torch import Tensor

from gradprox.images import EXAMPLE_IMAGE, images_in
from gradprox.physics import ValidBlur, gaussian_noise
from gradprox.priors.contract import Prior
from gradprox.solvers import deblur_images
from gradprox.solvers.contract import Restorer


def restored(
    clean: Tensor, kernel: Tensor, noise: float, prior: Prior, restorer: Restorer
) -> tuple[float, float]:
    """Return the PSNR of the frame of one restored photo, and the seconds of processor time.

    Args:
        clean: a sharp image ``(1, 1, H, W)``.
        kernel: the blur, ``(1, 1, h, w)``.
        noise: standard deviation of the noise, which has the seed 0.
        prior: the denoiser.
        restorer: a solver or a preset.
    """
    camera = ValidBlur(kernel, (clean.shape[-2], clean.shape[-1]))
    photo = camera.A(clean)
    photo = photo + gaussian_noise(photo, noise, torch.Generator().manual_seed(0))
    begin = time.process_time()
    x, result = deblur_images(photo, kernel, prior, restorer)
    seconds = time.process_time() - begin
    if int(result.objective_increases.sum()):
        raise SystemExit("an objective rose: this is a fault of gradprox")
    return float(PSNR()(x, camera.visible(clean))), seconds


def all_restored(
    images: Sequence[Tensor], kernel: Tensor, noise: float, prior: Prior, restorer: Restorer
) -> tuple[list[float], float]:
    """Return the PSNR of each restored photo, and the mean seconds; see `restored`."""
    psnr, seconds = zip(*(restored(clean, kernel, noise, prior, restorer) for clean in images), strict=True)
    return list(psnr), fmean(seconds)


def read_photos(data: Path | None, crop: int, count: int | None) -> tuple[list[Path], list[Tensor]]:
    """Return the paths of the first ``count`` images of a folder and their middles; without it, the demo's image."""
    paths = images_in(data)[:count] if data else [EXAMPLE_IMAGE]
    return paths, [read_middle(path, crop if data else min(crop, 64)) for path in paths]
