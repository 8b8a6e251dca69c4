"""Deblur with deepinv's own half-quadratic splitting and a gradprox model as its denoiser."""

from __future__ import annotations

import deepinv
import torch

import gradprox
from gradprox.physics import gaussian_kernel

x = gradprox.example_image(gray=True)[..., 60:188, 60:188]
physics = deepinv.physics.BlurFFT(x.shape[1:], filter=gaussian_kernel(1.6))
y = physics(x) + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))

solver = deepinv.optim.HQS(
    prior=deepinv.optim.PnP(denoiser=gradprox.load_model("gray-fast")),
    data_fidelity=deepinv.optim.L2(),
    stepsize=10.0,
    sigma_denoiser=0.023,
    max_iter=20,
)
with torch.no_grad():
    restored = solver(y, physics)
psnr = deepinv.loss.metric.PSNR()
print(f"blurred {psnr(y, x).item():.2f} dB, restored {psnr(restored, x).item():.2f} dB")
