"""Recover an image from a quarter as many Hadamard coefficients as pixels, by gradprox and by deepinv."""

from __future__ import annotations

import deepinv
import torch

import gradprox
from gradprox.physics import HadamardSensing
from gradprox.solvers import Task, preset

x = gradprox.example_image(gray=True)[..., 60:124, 60:124]
physics = HadamardSensing(tuple(x.shape[-2:]), measurements=x.numel() // 4)
y, D = physics(x), gradprox.load_model("gray-fast")
result = preset(Task.COMPRESSED_SENSING, noise=0)(y, physics, D)

prior = deepinv.optim.PnP(denoiser=D)
pgd = deepinv.optim.PGD(deepinv.optim.L2(), prior, stepsize=1.0, sigma_denoiser=0.03, max_iter=40)
with torch.no_grad():
    theirs = pgd(y, physics)
psnr = deepinv.loss.metric.PSNR()
for name, image in (("adjoint", physics.A_adjoint(y)), ("deepinv", theirs), ("gradprox", result.x)):
    print(f"{name:<9}{psnr(image, x).item():6.2f} dB")
