"""Jacobians of small inputs entry by entry, and the two properties that those of a proximal operator have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def dense_jacobian(operator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the Jacobian at ``x``, ``(N, N)`` with ``N = x.numel()``, of a map between tensors of one shape.

    Raises:
        ValueError: ``x`` has more than 4,096 entries, too many for a dense matrix.
    """
    size = x.numel()
    if size > 4096:
        raise ValueError(f"a dense Jacobian of {size} x {size} entries is too large: take a smaller image")

    def flat(v: Tensor) -> Tensor:
        return operator(v.view_as(x)).flatten()

    point = x.detach().flatten().requires_grad_()
    value = flat(point)
    # A rounded value has no gradient history: its Jacobian is zero.
    if not value.requires_grad:
        return point.new_zeros(size, size)
    rows = [
        torch.autograd.grad(entry, point, retain_graph=True, materialize_grads=True)[0] for entry in value
    ]
    return torch.stack(rows)


def symmetry_defect(jacobian: Tensor) -> float:
    """Return ``max |J - J^T| / |J|_2``: 0 for the gradient of a potential."""
    # The Jacobian of a saturated network may be zero, which is symmetric.
    norm = torch.linalg.matrix_norm(jacobian, 2).clamp_min(torch.finfo(jacobian.dtype).tiny)
    return float((jacobian - jacobian.T).abs().max() / norm)


def eigenvalue_range(jacobian: Tensor) -> tuple[float, float]:
    """Return the smallest and largest eigenvalue of the symmetric part of ``J``."""
    eigenvalues = torch.linalg.eigvalsh((jacobian + jacobian.T) / 2)
    return float(eigenvalues[0]), float(eigenvalues[-1])
