"""The forward operator and least-squares fits as torch modules, cut into parts that ONNX nodes join."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from gradprox.batch import per_image
from gradprox.export.graph.equations import Equations
from gradprox.export.graph.problem import Problem
from gradprox.networks.linear_systems import Iterate, Operator, first_iterate, next_iterate, small_energy
from gradprox.physics.symmetric_blur import next_bound
from gradprox.solvers.clipping import ClippedTerm
from gradprox.solvers.least_squares import FIT_TOLERANCE, LeastSquares
from gradprox.solvers.scalar import Scalar

# Values of `Problem.known`: the exporter takes plain tuples only.
Tensors = tuple[Tensor, ...]


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

    def data(self, y: Tensor, known: Tensors, squared_norm: Scalar) -> LeastSquares | ClippedTerm:
        """Return the data term with a bound of ``|A|^2``."""
        return LeastSquares(y, self.equations(known), squared_norm)  # type: ignore[arg-type]  # a tensor here


class Transform(Measured):
    """The values that fits need in every step, computed once."""

    def forward(self, x: Tensor, y: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:
        """Return the transform of images of the size of ``x``, and the coordinates of ``A^T y``.

        The last result, where there is one, says whether the closed form of fits holds for this kernel.
        """
        transform, closed = self.problem.transform(x, kernel), self.problem.closed_here(kernel)
        back = self.equations((kernel, *transform)).back(y)
        return *transform, back, *(() if closed is None else (closed,))


class Norm(Measured):
    """The bound of ``|A|^2``, from which step sizes follow."""

    def forward(self, x: Tensor, known: Tensors) -> Tensor:
        """Return it, a scalar, for images of the size of ``x``."""
        return self.problem.squared_norm(x, known).clone()


class FirstBound(Measured):
    """The part before the loop that bounds ``|A|^2`` with a symmetric boundary."""

    def forward(self, x: Tensor, closed_here: Tensor, known: Tensors) -> tuple[Tensor, ...]:
        """Return the first bound, the first weights ``(1, 1, H, W)``, and whether the loop is needed."""
        exact = self.problem.squared_norm(x, known)
        weights = torch.ones(1, 1, x.shape[-2], x.shape[-1], dtype=torch.float64)
        return torch.where(closed_here, exact, torch.inf), weights, ~closed_here


class NextBound(Measured):
    """One step of this loop."""

    def forward(self, bound: Tensor, bound_weights: Tensor, known: Tensors) -> tuple[Tensor, Tensor]:
        """Return the least bound so far and the next weights."""
        kernel, *values = known
        weights, found = next_bound(self.equations((kernel.abs(), *values)), bound_weights)
        return torch.minimum(bound, found), weights


class ClosedFit(Measured):
    """The fit ``argmin_x |A x - y|^2/2 + weight |x - z|^2/2`` where it has a closed form."""

    def forward(self, z: Tensor, y: Tensor, back: Tensor, weight: Tensor, known: Tensors) -> Tensor:
        """Return the fitted images; ``back`` holds the coordinates of ``A^T y``."""
        found = self.equations(known).closed_fit(z, y, back, per_image(weight, z.double()))
        if found is None:
            raise ValueError(f"{self.problem.name}: fits have no closed form")
        return found.float()


def fit_operator(equations: Equations, weight: Tensor, counted: Tensor | None = None) -> Operator:
    """Return the operator of the normal equations of a fit, in coordinates.

    Args:
        equations: the normal equations.
        weight: of the fit, in a shape that broadcasts against coordinates.
        counted: which measurements count, a tensor of bools; all of them if None.
    """
    if counted is None:
        return partial(equations.normal_operator, weight=weight)
    return partial(equations.counting_operator, counted=counted, weight=weight)


def first_values(
    equations: Equations,
    operator: Operator,
    right: Tensor,
    start: Tensor,
    weight: Tensor,
    borders: Tensors,
) -> tuple[Tensor, ...]:
    """Return the values before the first step of conjugate gradients.

    Args:
        equations: which precondition the iterations.
        operator: of the linear system, in coordinates.
        right: its right-hand side.
        start: the coordinates at which the iterations begin.
        weight: of the fit, in a shape that broadcasts against coordinates.
        borders: see `Problem.borders`.

    Returns:
        Whether any image needs a step, the energy at which an image stops, ``(B,)``, and the first state.
    """
    state = first_iterate(operator, right, start, lambda v: equations.precondition(v, weight, borders))
    enough = small_energy(right, FIT_TOLERANCE[torch.float64])
    return state.solvable(enough), enough, *state


class FitStart(Measured):
    """The part before the conjugate gradients of a fit, in the coordinates of the equations."""

    def forward(
        self, z: Tensor, x: Tensor, back: Tensor, weight: Tensor, known: Tensors, borders: Tensors
    ) -> tuple[Tensor, ...]:
        """Return whether any image needs a step, the energy at which an image stops, and the first state."""
        equations, weight = self.equations(known), per_image(weight, back)
        operator = fit_operator(equations, weight)
        right = back + weight * equations.coordinates(z)
        return first_values(equations, operator, right, equations.coordinates(x), weight, borders)


class FitStep(Measured):
    """One step of these conjugate gradients, or of those of a fit that counts some measurements only."""

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
        borders: Tensors,
        counted: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Return whether any image needs a further step, and the next state."""
        equations, weight = self.equations(known), per_image(weight, point)
        operator = fit_operator(equations, weight, counted)
        before = Iterate(point, residual, direction, energy, product)
        state = next_iterate(operator, before, enough, lambda v: equations.precondition(v, weight, borders))
        return state.solvable(enough), *state


class FitEnd(Measured):
    """The part after them."""

    def forward(self, point: Tensor, energy: Tensor, known: Tensors) -> Tensor:
        """Return the images of the last state."""
        return self.equations(known).images(Iterate(point, point, point, energy, energy).solution()).float()
