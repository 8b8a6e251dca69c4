"""Fits of clipped measurements as nodes of a graph: a ``Loop`` of Newton steps, each a ``Loop`` of conjugate gradients.

`gradprox.export.graph.clipped_steps` has the modules. A graph takes this path only where a measurement is clipped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from onnx import NodeProto, helper
from torch import Tensor
from torch.export import Dim

from gradprox.export.graph import clipped_steps as steps
from gradprox.export.graph.fit_steps import FitStep
from gradprox.export.graph.frame import Frame
from gradprox.export.graph.loop import Carried, if_around, loop_around
from gradprox.export.graph.pieces import FIRST_ITERATE, ITERATE, NEXT_ITERATE
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_graph import BOOL, DOUBLE
from gradprox.export.graph.tracing import Example, Piece
from gradprox.export.runtime.solver import CLIPPING

if TYPE_CHECKING:
    from gradprox.export.graph.parts import Parts

# The values that a Newton step hands on: coordinates, their measurements, and which of these count as equations.
NEWTON = {"place": DOUBLE, "measured": DOUBLE, "counted": BOOL}
# The part that computes the objective of a solver, for the solvers that take clipped measurements.
CLIPPED_OBJECTIVES = {"hqs": "objective", "nmapg": "objective_with_gradient"}


def clipped_pieces(problem: Problem, solvers: Collection[str]) -> dict[str, Piece]:
    """Return the modules of these fits, and of the objectives of the solvers: names in `CLIPPED_OBJECTIVES`."""
    known, borders = problem.known, problem.borders
    objectives = {
        "objective": Piece(
            steps.ClippedObjective(problem),
            ("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", known),
            ("new_objective", "new_rounding"),
        ),
        "objective_with_gradient": Piece(
            steps.ClippedObjectiveWithGradient(problem),
            ("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", "squared_norm", known),
            ("new_objective", "new_rounding", "new_gradient"),
        ),
    }
    needed = {CLIPPED_OBJECTIVES[solver] for solver in solvers}
    return {
        "any_clipped": Piece(steps.AnyClipped(), ("y", CLIPPING), ("clipped",)),
        **{f"clipped_{part}": objectives[part] for part in needed},
        "newton_start": Piece(
            steps.NewtonStart(problem),
            ("x", "z", "y", known),
            (*(f"first_{name}" for name in NEWTON), "target"),
        ),
        "newton_system": Piece(
            steps.NewtonSystem(problem),
            (*NEWTON, "target", "y", "weight", known, borders),
            ("value", *FIRST_ITERATE),
        ),
        "counting_fit_step": Piece(
            FitStep(problem), (*ITERATE, "enough", "weight", known, borders, "counted"), NEXT_ITERATE
        ),
        "newton_end": Piece(
            steps.NewtonEnd(problem),
            ("point", "energy", "target", "value", "y", "weight", known),
            ("found_place", "found_measured", "worse", "any_worse"),
        ),
        "safe_system": Piece(
            steps.SafeSystem(problem),
            ("place", "measured", "target", "y", "weight", known, borders),
            FIRST_ITERATE,
        ),
        "safe_end": Piece(
            steps.SafeEnd(problem),
            ("point", "energy", "found_place", "worse", known),
            ("new_place", "new_measured"),
        ),
        "newton_next": Piece(
            steps.NewtonNext(problem),
            ("new_measured", "counted", "y", known),
            ("newton_goes_on", "new_counted"),
        ),
        "newton_images": Piece(steps.NewtonImages(problem), ("place", known), ("fitted",)),
    }


def clipped_examples(frame: Frame, back: Example) -> dict[str, Example]:
    """Return the inputs of these modules that no other part has.

    Args:
        frame: examples of images and measurements.
        back: an example of coordinates.
    """

    def of_y(values: Tensor) -> Example:
        return Example(values, frame.open["y"])

    numbers = Example(torch.ones(len(frame.y), dtype=torch.float64), {0: Dim.AUTO})
    return {
        **dict.fromkeys(("place", "found_place", "target"), back),
        **dict.fromkeys(("measured", "new_measured"), of_y(frame.y.double())),
        "counted": of_y(frame.y > 0),
        "value": numbers,
        CLIPPING: Example(torch.tensor(data=True), {}),
    }


def clipped_fit(parts: Parts, scope: str, given: Mapping[str, str]) -> list[NodeProto]:
    """Return the nodes of a fit; `Parts.fit` describes the names that are given."""
    carried = [
        Carried(f"{scope}/first_{v}", f"{scope}/{v}", f"{scope}/new_{v}", f"{scope}/last_{v}", kind)
        for v, kind in NEWTON.items()
    ]
    solved = {value: f"{scope}/last_{value}" for value in ("point", "energy")}
    step = [
        *parts.place("newton_system", scope, given),
        *parts.conjugate_gradients("counting_fit_step", scope, given),
        *parts.place("newton_end", scope, {**given, **solved}),
        if_around(
            f"{scope}/any_worse",
            f"{scope}/safe",
            {f"{scope}/new_place": DOUBLE, f"{scope}/new_measured": DOUBLE},
            (partial(_safe_step, parts, scope, given), partial(_kept_step, scope)),
        ),
        *parts.place("newton_next", scope),
    ]
    return [
        *parts.place("newton_start", scope, given),
        loop_around(
            step,
            f"{scope}/newton",
            steps="newton_steps",
            begin="begin",
            go_on=f"{scope}/newton_goes_on",
            carried=carried,
        ),
        *parts.place("newton_images", scope, {**given, "place": f"{scope}/last_place"}),
    ]


def _safe_step(
    parts: Parts, scope: str, given: Mapping[str, str], results: tuple[str, ...]
) -> list[NodeProto]:
    """Return the nodes of a step for images whose Newton step does not descend."""
    inside = f"{scope}/safe"
    outer = {v: f"{scope}/{v}" for v in ("place", "measured", "target", "found_place", "worse")}
    names = {**given, **outer, **dict(zip(("new_place", "new_measured"), results, strict=True))}
    solved = {value: f"{inside}/last_{value}" for value in ("point", "energy")}
    return [
        *parts.place("safe_system", inside, names),
        *parts.conjugate_gradients("fit_step", inside, names),
        *parts.place("safe_end", inside, {**names, **solved}),
    ]


def _kept_step(scope: str, results: tuple[str, ...]) -> list[NodeProto]:
    """Return the nodes that keep a Newton step."""
    found = (f"{scope}/found_place", f"{scope}/found_measured")
    return [
        helper.make_node("Identity", [name], [result], name=result)
        for name, result in zip(found, results, strict=True)
    ]
