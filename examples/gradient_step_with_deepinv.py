"""Descend an explicit objective with deepinv's gradient descent; gradprox's `GD` takes the same steps."""

from __future__ import annotations

import deepinv
import torch

import gradprox
from gradprox.physics import gaussian_kernel
from gradprox.priors import GradientStepPrior
from gradprox.solvers import GD

x = gradprox.example_image(gray=True)[..., 60:124, 60:124]
physics = deepinv.physics.BlurFFT(x.shape[1:], filter=gaussian_kernel(1.0))
y, D, sigma = physics(x), gradprox.load_model("gray-fast"), 0.02

theirs = deepinv.optim.GD(
    deepinv.optim.L2(),
    GradientStepPrior(D),
    lambda_reg=0.1,
    g_param=sigma,
    custom_init=(y, y),
    stepsize=1.8,
    max_iter=30,
)
with torch.no_grad():
    restored = theirs(y, physics)
ours = GD(sigma=sigma, lambda_reg=0.1, stepsize=1.8, max_iter=30, tol=0)(y, physics, D, x0=y)
assert torch.allclose(restored, ours.x, atol=1e-4)
psnr = deepinv.loss.metric.PSNR()
print(f"blurred {psnr(y, x).item():.2f} dB, restored {psnr(ours.x, x).item():.2f} dB")
print(f"{ours.objective_increases.item()} of {ours.steps.item()} steps raised the objective")
