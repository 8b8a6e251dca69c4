"""Proximal gradient descent, plain (PGD) and accelerated (FISTA), as nodes of a graph.

`gradprox.export.graph.proximal_steps` has the modules.
"""

from __future__ import annotations

from typing import ClassVar

from onnx import helper

from gradprox.export.graph import proximal_steps as steps
from gradprox.export.graph.loop import Carried, loop_around
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_graph import WITH_GRADIENT, GraphSolver, Nodes, point
from gradprox.export.graph.solver_steps import names_of
from gradprox.export.graph.tracing import Piece
from gradprox.solvers.fista import FISTAState
from gradprox.solvers.forward_backward import ForwardBackwardState
from gradprox.solvers.state import State


class GraphPGD(GraphSolver):
    """Proximal gradient descent."""

    name = "pgd"
    state: ClassVar[type[State]] = ForwardBackwardState

    @classmethod
    def started(cls, found: ForwardBackwardState) -> State:
        """Return the state before the first step."""
        return found

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:  # noqa: ARG003
        """See `GraphSolver.own_pieces`."""
        values = names_of(cls.state)
        ahead = ("ahead", "ahead_gradient")
        return {
            f"{cls.name}_begin": Piece(
                steps.FirstGradient(problem, cls.started),
                ("x", "y", "squared_norm", problem.known),
                tuple(f"first_{value}" for value in values),
            ),
            "toward_fit": Piece(steps.TowardFit(), (*ahead, "squared_norm"), ("toward",)),
            "forward_backward": Piece(
                steps.ForwardBackward(problem),
                (*ahead, "new", "energy", "y", "sigma", "squared_norm", problem.known),
                ("new_objective", "new_rounding", "new_gradient"),
            ),
        }

    def first(self, x: str) -> Nodes:
        """See `GraphSolver.first`."""
        return self.place(f"{self.name}_begin", {"x": x})

    def taken(self, name: str, ahead: str, gradient: str) -> Nodes:
        """Return the nodes that compute the point ``name`` by a step from the images ``ahead``."""
        scope = f"{self.scope}/{name}"
        given = {"ahead": ahead, "ahead_gradient": gradient, **self.settings}
        given |= dict(zip(point("new"), point(scope), strict=True))
        toward, sigma = f"{scope}/toward", self.settings["sigma"]
        return [
            *self.parts.place("toward_fit", scope, given),
            *self.parts.denoise(scope, toward, sigma, scope, f"{scope}/energy"),
            *self.parts.place("forward_backward", scope, given),
        ]

    def step(self) -> Nodes:
        """See `GraphSolver.step`."""
        new = dict(zip(names_of(self.state), point(f"{self.scope}/after"), strict=True))
        return [
            *self.taken("after", f"{self.scope}/x", f"{self.scope}/gradient"),
            *(
                helper.make_node("Identity", [name], [f"{self.scope}/new_{value}"], name=f"{name}/new")
                for value, name in new.items()
            ),
        ]


class GraphFISTA(GraphPGD):
    """Accelerated proximal gradient descent. A step that raises the objective is taken again without momentum."""

    name, state = "fista", FISTAState

    @classmethod
    def started(cls, found: ForwardBackwardState) -> State:
        """See `GraphPGD.started`."""
        return FISTAState.first(found)

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """See `GraphSolver.own_pieces`."""
        values = names_of(cls.state)
        return super().own_pieces(problem, curvature) | {
            "ahead": Piece(steps.Ahead(), (values,), ("ahead", "ahead_gradient")),
            "compare": Piece(
                steps.Compare(), ("fast_objective", "objective", "status"), ("worse", "any_worse")
            ),
            "fista_taken": Piece(
                steps.FISTATaken(),
                (values, point("fast"), point("plain"), "worse"),
                tuple(f"new_{value}" for value in values),
            ),
        }

    def step(self) -> Nodes:
        """See `GraphSolver.step`."""
        scope = self.scope
        carried = [
            Carried(
                *(f"{scope}/fast{v}", f"{scope}/before_plain{v}", f"{scope}/again{v}", f"{scope}/plain{v}"),
                kind,
            )
            for v, kind in WITH_GRADIENT.items()
        ]
        again = [
            *self.taken("again", f"{scope}/x", f"{scope}/gradient"),
            helper.make_node("Identity", ["begin"], [f"{scope}/ends"], name=f"{scope}/ends"),
        ]
        return [
            *self.place("ahead"),
            *self.taken("fast", f"{scope}/ahead", f"{scope}/ahead_gradient"),
            *self.place("compare"),
            loop_around(
                again,
                f"{scope}/restart",
                steps="once",
                begin=f"{scope}/any_worse",
                go_on=f"{scope}/ends",
                carried=carried,
            ),
            *self.place("fista_taken"),
        ]
