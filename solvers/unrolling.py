r"""Training a network inside a solver: gradients through a few steps of it.

A few steps from the start are an unrolled network (Gregor and LeCun, ICML 2010), whose weights are trained for what
those steps return. One step from a converged run is Jacobian-free backpropagation (Fung et al., AAAI 2022): at a fixed
point ``x = T(x)`` the gradient of ``T`` alone is, where ``T`` contracts and is well conditioned, a descent direction
for the fixed point, and it needs the memory of a single step. Trained either way the network stays the prox that its
architecture makes it, so what is proven of the solver still holds.
"""

from __future__ import annotations

from typing import Any

from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.physics import initial_image
from gradprox.priors import LearnedProx
from gradprox.solvers.solver import Solver, check_arguments


def unrolled(
    solver: Solver[Any],
    y: Tensor,
    physics: LinearPhysics,
    prior: LearnedProx,
    *,
    steps: int,
    fidelity: DataFidelity | None = None,
    x0: Tensor | None = None,
) -> Tensor:
    """Return the images after ``steps`` steps, ``(B, C, H, W)``, differentiable in the weights of ``prior``.

    Memory grows with the steps. ``max_iter`` and ``tol`` of the solver play no part; NaNs are not looked for.

    Args:
        solver: the algorithm and its settings.
        y: measurements, batch first.
        physics: the operator that made them.
        prior: a learned prox whose network has weights that ask for gradients.
        steps: how many, at least 1.
        fidelity: the data term; ``|A x - y|^2 / 2`` if not given.
        x0: where to start; ``solver(y, physics, prior).x`` for Jacobian-free backpropagation,
            `gradprox.physics.initial_image` if not given.

    Raises:
        ValueError: ``steps`` is below 1.
        InputError: an argument is of another type, an unknown norm, an illegal step size, a data term that the solver
            does not take.

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
    if steps < 1:
        raise ValueError(f"at least one step is needed, got {steps}")
    check_arguments(y, physics, prior, fidelity, x0)
    data = solver.data_term(y, physics, fidelity)
    state = solver.start(data, prior, initial_image(y, physics) if x0 is None else x0)
    for _ in range(steps):
        state = solver.step(data, prior, state)
    return state.x
