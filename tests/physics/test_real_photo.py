"""A photo blurred beyond its frame does not ring: its unknown border costs little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from deepinv.loss.metric import PSNR
from PIL import Image

from gradprox import load_model
from gradprox.images import EXAMPLE_IMAGE
from gradprox.physics import CircularBlur, ValidBlur, gaussian_noise, motion_kernel
from gradprox.solvers.deblurring import deblur_images
from gradprox.solvers.presets import Task, preset

NOISE = 2.55 / 255


@pytest.mark.slow
def test_an_unknown_border_costs_less_than_a_third_of_a_decibel():
    prior = load_model("gray-small")
    pixels = np.asarray(Image.open(EXAMPLE_IMAGE).convert("L"), dtype=np.float32)[40:168, 100:228] / 255
    clean, kernel = torch.from_numpy(pixels)[None, None], motion_kernel(9, 30)
    camera = ValidBlur(kernel, (128, 128))
    periodic = CircularBlur(kernel, (128, 128)).A(clean)
    periodic = periodic + gaussian_noise(periodic, NOISE, torch.Generator().manual_seed(0))
    photo, sharp, algorithm = camera.visible(periodic), camera.visible(clean), preset(Task.DEBLUR, NOISE)

    whole, _ = deblur_images(periodic, kernel, prior, algorithm, boundary="circular")
    restored, result = deblur_images(photo, kernel, prior, algorithm, boundary="valid")
    psnr, interior = PSNR(), camera.visible
    periodic_inside = float(psnr(interior(camera.visible(whole)), interior(sharp)))
    assert float(psnr(restored, sharp)) > periodic_inside - 0.3
    assert float(psnr(interior(restored), interior(sharp))) > periodic_inside - 0.3
    assert int(result.objective_increases) == 0
    # That it is the boundary: taken for periodic, the same photo rings.
    ringing, _ = deblur_images(photo, kernel, prior, algorithm, boundary="circular")
    assert float(psnr(ringing, sharp)) < periodic_inside - 1
