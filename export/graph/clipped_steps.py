"""Fits of clipped measurements as torch modules, cut where conjugate gradients run.

They are the semismooth Newton steps of `gradprox.solvers.clipping`, in the coordinates of the equations. The formulas
are traced from there. `gradprox.export.graph.clipped_fit` joins the modules.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradprox.batch import per_image
from gradprox.export.graph.fit_steps import Measured, Tensors, first_values, fit_operator
from gradprox.export.graph.gradient_steps import ObjectiveWithGradient
from gradprox.export.graph.hqs_steps import Objective
from gradprox.export.graph.problem import Problem
from gradprox.networks.linear_systems import Iterate
from gradprox.solvers.clipping import ClippedDistance, ClippedTerm
from gradprox.solvers.scalar import Scalar


class AnyClipped(nn.Module):
    """The decision whether any measurement is an inequality."""

    def __init__(self) -> None:
        super().__init__()
        self.distance = ClippedDistance()

    def forward(self, y: Tensor, clipping: Tensor) -> Tensor:
        """Return it, a scalar; ``clipping`` says whether black and white measurements may have been clipped."""
        return clipping & self.distance.clipped(y).any()


class ClippedMeasured(Measured):
    """Base of the parts whose measurements may have been clipped.

    Args:
        problem: the kind of measurement.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.distance = ClippedDistance()

    def data(self, y: Tensor, known: Tensors, squared_norm: Scalar = math.inf) -> ClippedTerm:
        """See `Measured.data`."""
        bound: float = squared_norm  # type: ignore[assignment]  # it may be a tensor here
        return ClippedTerm(y.double(), self.equations(known), bound, bound, self.distance)


class ClippedObjective(ClippedMeasured, Objective):
    """The objective ``F = f + lambda R`` of clipped measurements."""


class ClippedObjectiveWithGradient(ClippedMeasured, ObjectiveWithGradient):
    """The same with its gradient."""


class NewtonStart(ClippedMeasured):
    """The part before the first Newton step."""

    def forward(self, x: Tensor, z: Tensor, y: Tensor, known: Tensors) -> tuple[Tensor, ...]:
        """Return the coordinates of ``x`` and of ``z``, and which measurements count as equations at ``A x``."""
        equations = self.equations(known)
        place = equations.coordinates(x)
        measured = equations.measured(place)
        return place, measured, self.data(y, known).counted(measured), equations.coordinates(z)


class NewtonSystem(ClippedMeasured):
    """The linear system of a Newton step: a fit to the measurements that count as equations."""

    def forward(
        self,
        place: Tensor,
        measured: Tensor,
        counted: Tensor,
        target: Tensor,
        y: Tensor,
        weight: Tensor,
        known: Tensors,
        borders: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return the function that the fit lowers, ``(B,)``, and the values of `first_values`."""
        equations, weights = self.equations(known), per_image(weight, place)
        operator = fit_operator(equations, weights, counted)
        right = equations.back(counted * y) + weights * target
        value = self.data(y, known).fit_value(measured, place - target, weight)
        return value, *first_values(equations, operator, right, place, weights, borders)


class NewtonEnd(ClippedMeasured):
    """The comparison of a Newton step with the images before it."""

    def forward(
        self,
        point: Tensor,
        energy: Tensor,
        target: Tensor,
        value: Tensor,
        y: Tensor,
        weight: Tensor,
        known: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return the images after it, their measurements, which of them are worse, and whether any is."""
        found = Iterate(point, point, point, energy, energy).solution()
        measured = self.equations(known).measured(found)
        worse = self.data(y, known).fit_value(measured, found - target, weight) >= value
        return found, measured, worse, worse.any()


class SafeSystem(ClippedMeasured):
    """The linear system of a safe step: a fit of the majorizer."""

    def forward(
        self,
        place: Tensor,
        measured: Tensor,
        target: Tensor,
        y: Tensor,
        weight: Tensor,
        known: Tensors,
        borders: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return the values of `first_values`."""
        equations, weights = self.equations(known), per_image(weight, place)
        operator = fit_operator(equations, weights)
        right = equations.back(self.distance.nearest(measured, y.double())) + weights * target
        return first_values(equations, operator, right, place, weights, borders)


class SafeEnd(Measured):
    """The choice between a Newton step and a safe step."""

    def forward(
        self, point: Tensor, energy: Tensor, found: Tensor, worse: Tensor, known: Tensors
    ) -> tuple[Tensor, Tensor]:
        """Return the images after the step, safe where the Newton step is ``worse``, and their measurements."""
        safe = Iterate(point, point, point, energy, energy).solution()
        chosen = torch.where(per_image(worse, safe), safe, found)
        return chosen, self.equations(known).measured(chosen)


class NewtonNext(ClippedMeasured):
    """The decision on a further Newton step."""

    def forward(
        self, new_measured: Tensor, counted: Tensor, y: Tensor, known: Tensors
    ) -> tuple[Tensor, Tensor]:
        """Return whether other measurements count as equations than before, and which do."""
        new = self.data(y, known).counted(new_measured)
        return (new != counted).any(), new


class NewtonImages(Measured):
    """The part after the last Newton step."""

    def forward(self, place: Tensor, known: Tensors) -> Tensor:
        """Return the images."""
        return self.equations(known).images(place).float()
