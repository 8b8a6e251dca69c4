"""MGradNetM: a monotone network with random weights is a prox, so a solver descends with it."""

from __future__ import annotations

import torch

from gradprox.networks import MGradNetM, SigmoidOuterDerivative
from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import PGD

torch.manual_seed(0)
network = MGradNetM.conv(
    channels=1, filters=6, kernel_size=3, outer_derivative=SigmoidOuterDerivative, boundary="symmetric"
)
D = LearnedProx(network.double())
physics = CircularBlur(gaussian_kernel(1.0).double(), (24, 24))
y = physics(torch.rand(1, 1, 24, 24, dtype=torch.float64))
result = PGD(sigma=0.1, max_iter=30, tol=0)(y, physics, D)
first, *_, last = result.objective[0, 1:].tolist()
print(f"objective {first:.6f} to {last:.6f}, {result.objective_increases.item()} increases")
assert result.objective_increases.item() == 0
