"""A prior trained through a solver by deepinv's losses of measurements alone."""

from __future__ import annotations

import torch
from deepinv.loss import EILoss, SureGaussianLoss
from deepinv.physics import GaussianNoise
from deepinv.transform import Shift

from gradprox import example_image, load_model
from gradprox.physics import HadamardSensing
from gradprox.solvers import PGD, SolverReconstructor


def test_measurements_alone_teach_a_prior_to_recover_images():
    crops = example_image(gray=True)[..., 60:124, 60:124]
    crops = crops.unfold(2, 32, 32).unfold(3, 32, 32).reshape(-1, 1, 32, 32)[:2]
    physics = HadamardSensing((32, 32), 32 * 32 // 4)
    physics.set_noise_model(GaussianNoise(0.02))
    y = physics(crops)
    prior = load_model("gray-fast").requires_grad_()
    model = SolverReconstructor(PGD(sigma=0.1, max_iter=3, tol=0), prior, training_steps=3)
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)

    def error():
        return float((model.eval()(y, physics) - crops).square().mean())

    before = error()
    for _ in range(5):
        x = model.train()(y, physics)
        losses = (
            loss(x_net=x, y=y, physics=physics, model=model)
            for loss in (SureGaussianLoss(0.02), EILoss(Shift()))
        )
        optimizer.zero_grad()
        sum(loss.mean() for loss in losses).backward()
        optimizer.step()
    assert error() < 0.95 * before
    assert prior.monotone
