"""Products with a Jacobian too large to store, and spectral estimates from them by Lanczos and power iterations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class JacobianProducts:
    """``J v`` and ``J^T v`` at one point, from one recorded evaluation.

    Args:
        operator: a map between tensors of one shape.
        x: the point; its gradient history is ignored.
    """

    def __init__(self, operator: Callable[[Tensor], Tensor], x: Tensor) -> None:
        self._x = x.detach().clone().requires_grad_()
        self._y = operator(self._x)
        # J^T w is linear in w, and its derivative in the direction v is J v. So reverse mode is enough for both.
        self._w = torch.zeros_like(self._y, requires_grad=True)
        self._pulled = self._grad(self._y, self._x, self._w, create_graph=True)

    def transposed(self, v: Tensor) -> Tensor:
        """Return ``J^T v``."""
        return self._grad(self._y, self._x, v)

    def forward(self, v: Tensor) -> Tensor:
        """Return ``J v``."""
        return self._grad(self._pulled, self._w, v)

    def symmetric(self, v: Tensor) -> Tensor:
        """Return ``(J + J^T) v / 2``."""
        return (self.forward(v) + self.transposed(v)) / 2

    def antisymmetric(self, v: Tensor) -> Tensor:
        """Return ``(J - J^T) v``."""
        return self.forward(v) - self.transposed(v)

    @staticmethod
    def _grad(output: Tensor, of: Tensor, v: Tensor, create_graph: bool = False) -> Tensor:
        # A rounded output has no gradient history: its Jacobian is zero.
        if not output.requires_grad:
            return torch.zeros_like(of)
        (product,) = torch.autograd.grad(
            output, of, v, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        return product


def lanczos_range(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> tuple[float, float]:
    """Return the smallest and largest Ritz values of a symmetric operator, which lie within its spectrum.

    Args:
        apply: the operator.
        start: a vector of any shape, not zero.
        steps: dimension of the Krylov space. All its vectors are stored and reorthogonalized.
    """
    q = start / torch.linalg.vector_norm(start)
    basis = [q]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for _ in range(min(steps, start.numel())):
        v = apply(basis[-1])
        diagonal.append(float((v * basis[-1]).sum()))
        # Twice: after one pass, loss of orthogonality duplicates converged Ritz values.
        for _ in range(2):
            for b in basis:
                v = v - (v * b).sum() * b
        norm = float(torch.linalg.vector_norm(v))
        if norm <= 1e-12 * max(map(abs, diagonal)):
            break
        off_diagonal.append(norm)
        basis.append(v / norm)
    size = len(diagonal)
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    for i in range(size - 1):
        matrix[i, i + 1] = matrix[i + 1, i] = off_diagonal[i]
    ritz = torch.linalg.eigvalsh(matrix)
    return float(ritz[0]), float(ritz[-1])


def antisymmetric_norm(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> float:
    """Return a lower bound of the norm of an antisymmetric operator, by power iteration on its square."""
    v, norm = start / torch.linalg.vector_norm(start), 0.0
    for _ in range(steps):
        v = apply(v)
        length = float(torch.linalg.vector_norm(v))
        norm = max(norm, length)
        if length == 0:
            break
        v = v / length
    return norm
