"""Products with the inverse of a symmetric map whose small and negative eigenvalues are raised to a floor.

After ``k`` steps, the Lanczos process has an orthonormal basis ``Q`` of a Krylov space and the tridiagonal matrix
``T = Q^T M Q``. Then ``g(M) v`` is approximately ``|v| Q g(T) e_1`` (Higham, *Functions of Matrices*, 13.2). With
``g(t) = 1/t`` these are the iterates of conjugate gradients. Here ``g(t) = 1/max(t, floor)``, which is defined for
indefinite maps too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gradprox.batch import image_sum, per_image

# A Ritz value counts as an eigenvalue that the start has a part in if its weight exceeds this number.
SMALL_WEIGHT = 1e-12


class Solution(NamedTuple):
    """The result of `floored_inverse`.

    Attributes:
        x: ``g(M) v``, shaped like ``v``.
        residual: ``|M x - v| / |v|``, ``(B,)``, exact where no Ritz value was raised.
        least: the smallest Ritz value, ``(B,)``, an upper bound of the smallest eigenvalue.
    """

    x: Tensor
    residual: Tensor
    least: Tensor


def floored_inverse(
    apply: Callable[[Tensor], Tensor], v: Tensor, floor: float, *, tolerance: float, steps: int
) -> Solution:
    """Return ``g(M) v`` with ``g(t) = 1/max(t, floor)``.

    The whole basis is kept and reorthogonalized, because rounding errors otherwise repeat eigenvalues. It takes
    ``steps`` times the memory of ``v``.

    Args:
        apply: ``M``, a symmetric map of ``(B, ...)`` that treats images separately.
        v: images, none of them zero.
        floor: above 0, in the units of ``M``.
        tolerance: the process ends when all residuals are at most this large.
        steps: largest number of products.
    """
    length = image_sum(v.square()).sqrt()
    steps = min(steps, v[0].numel())
    basis = torch.empty(steps, *v.shape, dtype=v.dtype, device=v.device)
    basis[0] = v / per_image(length, v)
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for step in range(steps):
        w = apply(basis[step])
        diagonal.append(image_sum(w * basis[step]))
        # Twice: one pass leaves parts of the size of the rounding errors of the first.
        for _ in range(2):
            w = w - _combined(basis[: step + 1], torch.einsum("kb...,b...->kb", basis[: step + 1], w))
        beyond = image_sum(w.square()).sqrt()
        # The space cannot grow beyond an invariant one: the rest is rounding.
        beyond = torch.where(beyond > 10 * torch.finfo(v.dtype).eps * diagonal[0].abs(), beyond, 0)
        values, weights, coefficients = _coefficients(diagonal, beside, floor)
        residual = beyond * coefficients[:, -1].abs()
        if step + 1 == steps or bool((residual <= tolerance).all()):
            break
        beside.append(beyond)
        basis[step + 1] = torch.where(per_image(beyond > 0, w), w / per_image(beyond, w), 0)
    x = _combined(basis[: len(diagonal)], (length[:, None] * coefficients).T.to(v))
    least = torch.where(weights > SMALL_WEIGHT, values, torch.inf).amin(dim=1)
    return Solution(x, residual, least)


def _combined(basis: Tensor, coefficients: Tensor) -> Tensor:
    """Return the sum of the vectors ``(k, B, ...)`` times coefficients ``(k, B)``."""
    return torch.einsum("kb...,kb->b...", basis, coefficients)


def _coefficients(
    diagonal: list[Tensor], beside: list[Tensor], floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the eigenvalues of ``T``, their weights in ``e_1``, and ``g(T) e_1``; ``(B, k)`` each."""
    matrix = torch.diag_embed(torch.stack(diagonal, dim=1))
    if beside:
        line = torch.stack(beside, dim=1)
        matrix = matrix + torch.diag_embed(line, 1) + torch.diag_embed(line, -1)
    values, vectors = torch.linalg.eigh(matrix)
    first = vectors[:, 0, :]
    found = vectors @ (first / values.clamp_min(floor))[..., None]
    return values, first.square(), found[..., 0]
