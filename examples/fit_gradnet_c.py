"""GradNetC: fit a gradient field whose potential, the two wells of ``(x1^2 - 1)^2/4 + x2^2/2``, is not convex."""

from __future__ import annotations

import torch

from gradprox.networks import GradNetC

torch.manual_seed(0)
x = 3 * torch.rand(512, 2, dtype=torch.float64) - 1.5
field = torch.stack([x[:, 0] ** 3 - x[:, 0], x[:, 1]], dim=1)
network = GradNetC.dense(dim=2, hidden=16, layers=1).double()
optimizer = torch.optim.LBFGS(
    network.parameters(), max_iter=200, tolerance_change=0, line_search_fn="strong_wolfe"
)


def closure() -> torch.Tensor:
    optimizer.zero_grad()
    loss = (network(x) - field).square().mean()
    loss.backward()
    return loss


optimizer.step(closure)
print(f"error {closure().item():.1e} of {field.square().mean().item():.2f}")
# The network also has a potential. In the true one, the wells lie 1/4 below the barrier between them.
places = torch.tensor([[-1, 0], [0, 0], [1, 0]]).double()
left, barrier, right = network.potential(places).tolist()
print(f"depth of the wells {barrier - left:.3f} and {barrier - right:.3f}")
