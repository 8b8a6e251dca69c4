"""Integrals of many scalar functions at once, each to a relative tolerance, differentiable in the upper limits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

NODES = 10

# The first panels, as fractions of the interval. Functions of a network bend near 0, and a single panel to a distant
# limit could miss all of that.
FIRST_EDGES = (0.0, 1 / 64, 1 / 8, 1.0)

# After so many halvings a panel is as wide as the rounding of its ends, so it contains a jump.
MAX_HALVINGS = 52

# A function needs more panels at a time only if the halves disagree by its own rounding.
PANELS_AT_A_TIME = 200

# Maps points (n, nodes) to values (n, nodes), given the index (n,) of the function of each row.
Integrand = Callable[[Tensor, Tensor], Tensor]


def integrate(integrand: Integrand, upper: Tensor) -> Tensor:
    """Return the integral of function ``i`` from 0 to ``upper[i]``.

    Adaptive Gauss-Lobatto quadrature: a panel is halved if its two halves disagree with the whole. The error is about
    100 units of rounding of the largest value times ``|upper|``, or that of the functions' own rounding. A narrow bump
    between the nodes of the first panels is missed; nondecreasing functions have no bumps.

    Args:
        integrand: the functions.
        upper: ``(N,)``.

    Returns:
        ``(N,)``.
    """
    nodes, weights = _rule(upper)
    ends_fixed = upper.detach()

    def panels(owner: Tensor, start: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        ends = ends_fixed[owner]
        values = integrand(ends[:, None] * (start[:, None] + width[:, None] * nodes), owner)
        return (values @ weights) * width * ends, values.abs().amax(dim=1)

    with torch.no_grad():
        edges = upper.new_tensor(FIRST_EDGES)
        owner = torch.arange(len(upper), device=upper.device).repeat(len(edges) - 1)
        start, width = (part.repeat_interleave(len(upper)) for part in (edges[:-1], edges.diff()))
        finished = []
        largest = torch.zeros_like(upper)
        whole, _ = panels(owner, start, width)
        for _ in range(MAX_HALVINGS):
            half = width / 2
            left, left_largest = panels(owner, start, half)
            right, right_largest = panels(owner, start + half, half)
            met = torch.maximum(left_largest, right_largest)
            largest = largest.scatter_reduce(0, owner, met, "amax")
            allowed = 100 * torch.finfo(upper.dtype).eps * largest * upper.abs()
            # NaN > x is false: a panel with values that are not finite is not halved further.
            split = (left + right - whole).abs() > allowed[owner]
            finished.append((owner[~split], start[~split], width[~split]))
            owner = owner[split].repeat(2)
            start = torch.cat([start[split], (start + half)[split]])
            width = half[split].repeat(2)
            whole = torch.cat([left[split], right[split]])
            if not 0 < len(owner) <= PANELS_AT_A_TIME * len(upper):
                break
        finished.append((owner, start, width))
    owner, start, width = (torch.cat(parts) for parts in zip(*finished, strict=True))
    integral = torch.zeros_like(ends_fixed).index_add(0, owner, panels(owner, start, width)[0])
    # The panels above are constants of differentiation: otherwise derivatives would have to resolve the slope of a
    # jump. This last panel from each limit to itself is empty, but its derivative is the function at the limit. The
    # same holds for higher orders.
    beyond = upper - ends_fixed
    everyone = torch.arange(upper.shape[0], device=upper.device)
    last = integrand(ends_fixed[:, None] + beyond[:, None] * nodes, everyone) @ weights
    return integral + beyond * last


def _rule(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return Gauss-Lobatto nodes and weights on ``[0, 1]``.

    The ends of the interval are nodes. Otherwise both a panel and its halves could miss a kink between an end and the
    outermost node of a Gauss rule. The inner nodes are the eigenvalues of the Jacobi matrix of the polynomials
    orthogonal under ``1 - t^2`` (Golub and Welsch, Math. Comp. 23, 1969).
    """
    k = torch.arange(1, NODES - 2, dtype=torch.float64)
    beside = (k * (k + 2) / ((2 * k + 1) * (2 * k + 3))).sqrt()
    inner = torch.linalg.eigvalsh(torch.diag(beside, 1) + torch.diag(beside, -1))
    nodes = torch.cat([-torch.ones(1, dtype=torch.float64), inner, torch.ones(1, dtype=torch.float64)])
    before, legendre = torch.ones_like(nodes), nodes
    for degree in range(2, NODES):
        before, legendre = legendre, ((2 * degree - 1) * nodes * legendre - (degree - 1) * before) / degree
    weights = 2 / (NODES * (NODES - 1) * legendre.square())
    return ((nodes + 1) / 2).to(like), (weights / 2).to(like)
