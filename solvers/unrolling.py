r"""Training a network inside a solver: gradients through a few of its steps.

A few steps from the start form an unrolled network (Gregor and LeCun, ICML 2010): the weights are trained for the
result of these steps. One step from a converged run is Jacobian-free backpropagation (Fung et al., AAAI 2022). At a
fixed point ``x = T(x)``, the gradient through ``T`` alone is a descent direction for the fixed point, provided that
``T`` contracts and is well conditioned. It needs the memory of a single step. In both cases the architecture keeps the
network a prox, so the solver's guarantees still hold.
"""

from __future__ import annotations

from typing import Any

from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.priors.contract import Prior
from gradprox.solvers.settings import check_count
from gradprox.solvers.solver import Solver


def unrolled(
    solver: Solver[Any],
    y: Tensor,
    physics: LinearPhysics,
    prior: Prior,
    *,
    steps: int,
    fidelity: DataFidelity | None = None,
    x0: Tensor | None = None,
) -> Tensor:
    """Return the images after ``steps`` steps, ``(B, C, H, W)``, differentiable in the weights of ``prior``.

    Memory grows with the steps. ``max_iter`` and ``tol`` of the solver have no effect, and NaN values stay unnoticed.

    Args:
        solver: the algorithm and its settings.
        y: measurements, batch first.
        physics: the operator that made them.
        prior: a prior whose network has weights that require gradients.
        steps: number of steps, at least 1.
        fidelity: the data term; ``|A x - y|^2 / 2`` if not given.
        x0: the first image; `gradprox.physics.initial_image` if not given. Jacobian-free backpropagation starts at
            ``solver(y, physics, prior).x``.

    Raises:
        InputError: ``steps`` is no whole number of at least 1, or another argument cannot be used (see
            `Solver.__call__`).

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> from gradprox.solvers import HQS
        >>> clean, prior = torch.rand(1, 1, 24, 20), load_model("gray-fast").requires_grad_()
        >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
        >>> x = unrolled(HQS(sigma=0.05, lambda_reg=0.1), physics(clean), physics, prior, steps=3)
        >>> (x - clean).square().mean().backward()
        >>> all(weight.grad is not None for weight in prior.parameters())
        True
    """
    check_count("steps", steps)
    data, x = solver.prepare(y, physics, prior, fidelity, x0)
    state = solver.start(data, prior, x)
    for _ in range(steps):
        state = solver.step(data, prior, state)
    return state.x
