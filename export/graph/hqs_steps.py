"""Half-quadratic splitting as torch modules, cut into parts that ONNX nodes join (`gradprox.export.graph.hqs_graph`).

The formulas are those of `gradprox.solvers`, whose functions are traced. The network is one part. It is traced once,
and its nodes are placed wherever it is computed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradprox.batch import per_image
from gradprox.export.graph.equations import Equations
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_steps import MAX_ITER, GraphPrior, judge
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.linear_systems import Iterate, first_iterate, next_iterate, small_energy
from gradprox.solvers.hqs import enough_descent, relaxed
from gradprox.solvers.least_squares import FIT_TOLERANCE, LeastSquares
from gradprox.solvers.line_search import SHRINK
from gradprox.solvers.smooth_objective import smooth_rounding

# Values of `Problem.known`: the exporter takes plain tuples only.
Tensors = tuple[Tensor, ...]


class Network(nn.Module):
    """The network of the prior, with its energy.

    Args:
        network: the network, in single precision.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.prior = GraphPrior(network.export_form())

    def forward(self, new: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``D`` and ``R`` at the images ``new``."""
        return self.prior.denoise_with_energy(new, sigma)


class Measured(nn.Module):
    """Base of the parts that apply the forward operator.

    Args:
        problem: the kind of measurement.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem
        self.exact = (
            problem.exact
        )  # a module within this one, so that its tensors are traced as those of this one

    def equations(self, known: Tensors) -> Equations:
        """Return the operator with the equations of its fits."""
        return self.problem.equations(known)


class Transform(Measured):
    """The values that fits need in every step, computed once."""

    def forward(self, x: Tensor, y: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:
        """Return the transform of images of the size of ``x``, and the coordinates of ``A^T y``.

        The last result, where there is one, says whether the closed form of fits holds for this kernel.
        """
        transform, closed = self.problem.transform(x, kernel), self.problem.closed_here(kernel)
        back = self.equations((kernel, *transform)).back(y)
        return *transform, back, *(() if closed is None else (closed,))


class ClosedFit(Measured):
    """The fit ``argmin_x |A x - y|^2/2 + weight |x - z|^2/2`` where it has a closed form."""

    def forward(self, z: Tensor, y: Tensor, back: Tensor, weight: Tensor, known: Tensors) -> Tensor:
        """Return the fitted images; ``back`` holds the coordinates of ``A^T y``."""
        found = self.equations(known).closed_fit(z, y, back, per_image(weight, z.double()))
        if found is None:
            raise ValueError(f"{self.problem.name}: fits have no closed form")
        return found.float()


class FitStart(Measured):
    """The part before the conjugate gradients of a fit, in the coordinates of the equations."""

    def forward(
        self, z: Tensor, x: Tensor, back: Tensor, weight: Tensor, known: Tensors
    ) -> tuple[Tensor, ...]:
        """Return whether any image needs a step, the energy at which an image stops, and the first state."""
        equations, weight = self.equations(known), per_image(weight, back)
        right = back + weight * equations.coordinates(z)
        state = first_iterate(
            lambda v: equations.normal_operator(v, weight),
            right,
            equations.coordinates(x),
            lambda v: equations.precondition(v, weight),
        )
        enough = small_energy(right, FIT_TOLERANCE[torch.float64])
        return state.solvable(enough), enough, *state


class FitStep(Measured):
    """One step of these conjugate gradients."""

    def forward(
        self,
        point: Tensor,
        residual: Tensor,
        direction: Tensor,
        energy: Tensor,
        product: Tensor,
        enough: Tensor,
        weight: Tensor,
        known: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return whether any image needs a further step, and the next state."""
        equations, weight = self.equations(known), per_image(weight, point)
        state = next_iterate(
            lambda v: equations.normal_operator(v, weight),
            Iterate(point, residual, direction, energy, product),
            enough,
            lambda v: equations.precondition(v, weight),
        )
        return state.solvable(enough), *state


class FitEnd(Measured):
    """The part after them."""

    def forward(self, point: Tensor, energy: Tensor, known: Tensors) -> Tensor:
        """Return the images of the last state."""
        return self.equations(known).images(Iterate(point, point, point, energy, energy).solution()).float()


class Objective(Measured):
    """The objective ``F = f + lambda R``."""

    def forward(
        self,
        new: Tensor,
        new_denoised: Tensor,
        energy: Tensor,
        y: Tensor,
        sigma: Tensor,
        lambda_reg: Tensor,
        known: Tensors,
    ) -> tuple[Tensor, Tensor]:
        """Return ``F`` at the images ``new``, and the bound of its rounding error, each ``(B,)``."""
        # Without a norm of A, the bound takes |A x| <= |y| + |A x - y|, which holds for every kernel.
        data = LeastSquares(y, self.equations(known), math.inf)
        fit = data.value(new)
        rounding = smooth_rounding(data, sigma, lambda_reg, new, fit, energy, new - new_denoised)
        return fit + lambda_reg * energy, rounding


class Begin(nn.Module):
    """The counters before the first step of a solver."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the statuses and the fractions of the last step, each ``(B,)``."""
        status = torch.zeros(x.shape[0], dtype=torch.long)
        return status, torch.ones_like(status).double()


class WholeStep(nn.Module):
    """The length of a step with a prior that is a prox: no search is needed."""

    def forward(self, status: Tensor, lambda_reg: Tensor) -> tuple[Tensor, ...]:
        """Return the fraction 1, the weight, and that no image is without an acceptable step, each ``(B,)``."""
        length = torch.ones_like(status).double()
        return length, lambda_reg * length, status < 0


class SearchStart(nn.Module):
    """The part before the line search of a step."""

    def forward(self, status: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
        """Return twice the first length, and which images need one, each ``(B,)``: images that have stopped do not."""
        return (fraction / SHRINK).clamp_max(1.0) / SHRINK, status == MAX_ITER


class Relax(nn.Module):
    """The beginning of a trial of the line search."""

    def forward(
        self, x: Tensor, denoised: Tensor, tried: Tensor, open_before: Tensor, lambda_reg: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the lengths of this trial, the images to fit, and the weights of their fits.

        Images without an acceptable step so far, ``open_before``, take a shorter one than ``tried``.
        """
        length = torch.where(open_before, SHRINK * tried, tried)
        target, weights = relaxed(x, denoised, length, lambda_reg)
        return length, target, weights


class Accept(nn.Module):
    """The end of a trial of the line search."""

    def forward(
        self,
        x: Tensor,
        objective: Tensor,
        rounding: Tensor,
        new: Tensor,
        new_objective: Tensor,
        new_rounding: Tensor,
        weights: Tensor,
        open_before: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return whether any image needs a further trial, and which do, ``(B,)``."""
        limit = objective - enough_descent(x, new, weights, rounding, new_rounding)
        still_open = open_before & ~(new_objective <= limit)
        return still_open.any(), still_open


class Record(nn.Module):
    """The end of a step: the decision which images stop."""

    def forward(
        self,
        found: Tensor,
        found_denoised: Tensor,
        found_objective: Tensor,
        found_rounding: Tensor,
        length: Tensor,
        stalled: Tensor,
        x: Tensor,
        denoised: Tensor,
        objective: Tensor,
        rounding: Tensor,
        fraction: Tensor,
        status: Tensor,
        steps: Tensor,
        tol: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next state, and one row of each history, ``(B,)``.

        Images for which the search found no step, ``stalled``, stay as they are.
        """
        outcome = torch.where(stalled, objective, found_objective)
        new = torch.where(per_image(stalled, x), x, found)
        result = judge(new, x, outcome, status, steps, tol.double() * length, stalled)
        accepted = result.accepted & ~per_image(stalled, x)
        flat = accepted[:, 0, 0, 0]
        return (
            result.go_on,
            torch.where(accepted, found, x),
            torch.where(accepted, found_denoised, denoised),
            torch.where(flat, found_objective, objective),
            torch.where(flat, found_rounding, rounding),
            torch.where(flat, length, fraction),
            result.status,
            result.steps,
            result.objective,
            result.residual,
        )
