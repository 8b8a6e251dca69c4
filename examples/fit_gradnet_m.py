"""GradNetM: learn the force of a spring between two points, with an activation that is a function of norms."""

from __future__ import annotations

import torch

from gradprox.networks import GradNetM, SmoothedNorm

torch.manual_seed(0)
q = 4 * torch.rand(512, 4, dtype=torch.float64) - 2  # two points in the plane
offset = q[:, :2] - q[:, 2:]
pull = (1 - 1 / offset.norm(dim=1, keepdim=True)) * offset  # gradient of (distance - 1)^2/2
force = torch.cat([pull, -pull], dim=1)
network = GradNetM.dense(dim=4, hidden=2, modules=8, activation=SmoothedNorm).double()
optimizer = torch.optim.LBFGS(network.parameters(), max_iter=150, line_search_fn="strong_wolfe")


def closure() -> torch.Tensor:
    optimizer.zero_grad()
    loss = (network(q) - force).square().mean()
    loss.backward()
    return loss


optimizer.step(closure)
print(f"error {closure().item():.1e} of {force.square().mean().item():.2f}")
