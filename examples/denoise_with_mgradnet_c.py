"""MGradNetC: train a nonexpansive network, the prox of a convex function, to denoise signals."""

from __future__ import annotations

import torch

from gradprox.networks import MGradNetC

torch.manual_seed(0)
steps = torch.randint(0, 2, (256, 8)).float()
clean = steps.repeat_interleave(4, dim=1) - 0.5
noisy = clean + 0.3 * torch.randn_like(clean)
network = MGradNetC.dense(dim=32, hidden=64, layers=2, nonexpansive=True)
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
for _ in range(200):
    loss = (network(noisy) - clean).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"error {(noisy - clean).square().mean().item():.4f} before, {loss.item():.4f} after")
print(f"Lipschitz constant at most {network.lipschitz_bound():.4f}: the prox of a convex function")
