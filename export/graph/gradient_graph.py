"""Solvers that take gradient steps on the whole objective, GD and NMAPG, as nodes of a graph.

`gradprox.export.graph.gradient_steps` has the modules.
"""

from __future__ import annotations

from abc import abstractmethod

from onnx import NodeProto

from gradprox.export.graph import gradient_steps as steps
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_graph import WITH_GRADIENT, GraphSolver, Names, Nodes, point
from gradprox.export.graph.solver_steps import FirstState, names_of
from gradprox.export.graph.tracing import Piece
from gradprox.solvers.gd import GDState
from gradprox.solvers.nmapg import NMAPGState
from gradprox.solvers.smooth_objective import SmoothState
from gradprox.solvers.state import State


class GraphGradientMethod(GraphSolver):
    """A solver that searches the length of gradient steps on ``F``."""

    @classmethod
    def search_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """Return the modules of gradient steps and their search."""
        values = names_of(cls.state)
        return {
            "objective_with_gradient": Piece(
                steps.ObjectiveWithGradient(problem),
                *(
                    (
                        *("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", "squared_norm"),
                        problem.known,
                    ),
                    ("new_objective", "new_rounding", "new_gradient"),
                ),
            ),
            f"{cls.name}_begin": Piece(
                FirstState(lambda values: cls.started(SmoothState(*values))),
                (point("new"),),
                tuple(f"first_{value}" for value in values),
            ),
            "proven": Piece(steps.Proven(curvature), ("lambda_reg", "squared_norm"), ("proven",)),
            "move": Piece(
                steps.Move(), (point("from"), "tried", "open_before", "proven"), ("trial_length", "new")
            ),
            "accept": Piece(
                steps.Accept(),
                (point("from"), point("new"), "reference", "trial_length", "proven", "open_before"),
                ("search_goes_on", "still_open"),
            ),
        }

    @classmethod
    @abstractmethod
    def started(cls, found: SmoothState) -> State:
        """Return the state before the first step."""

    def first(self, x: str) -> Nodes:
        """See `GraphSolver.first`."""
        start = f"{self.scope}/start"
        given = {f"new{value}": f"{start}{value}" for value in WITH_GRADIENT} | {"new": x}
        return [
            *self.place("proven"),
            *self.evaluated("objective_with_gradient", start, x),
            *self.place(f"{self.name}_begin", given),
        ]

    def here(self) -> dict[str, str]:
        """Return the state as the point where a search begins."""
        values = ("x", "objective", "rounding", "gradient")
        return {name: f"{self.scope}/{value}" for name, value in zip(point("from"), values, strict=True)}

    def search(self, within: str, given: Names | None = None, begin: str = "begin") -> NodeProto:
        """Return the search inside a scope; ``given`` names values that are not in it."""
        scope, given = f"{self.scope}/{within}", given or {}
        new = {value: f"{scope}/{value}" for value in point("new")}
        origin = [given.get(value, f"{scope}/{value}") for value in point("from")]
        trial = [
            *self.place("move", {**given, **new}, within),
            *self.evaluated("objective_with_gradient", f"{scope}/new", f"{scope}/new"),
            *self.place("accept", {**given, **new}, within),
        ]
        return self.searched(scope, WITH_GRADIENT, trial, origin, begin)


class GraphGD(GraphGradientMethod):
    """Gradient descent."""

    name, state = "gd", GDState

    @classmethod
    def started(cls, found: SmoothState) -> State:
        """See `GraphGradientMethod.started`."""
        return GDState.first(found)

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """See `GraphSolver.own_pieces`."""
        values = names_of(cls.state)
        return cls.search_pieces(problem, curvature) | {
            "gd_search": Piece(
                steps.GDSearch(curvature),
                ("status", "fraction", "lambda_reg", "squared_norm"),
                ("first_length", "unsettled"),
            ),
            "gd_taken": Piece(
                steps.GDTaken(curvature),
                (values, point("found"), "length", "unaccepted", "lambda_reg", "squared_norm"),
                tuple(f"new_{value}" for value in values),
            ),
        }

    def step(self) -> Nodes:
        """See `GraphSolver.step`."""
        scope = f"{self.scope}/trial"
        outcome = {value: f"{scope}/{value}" for value in (*point("found"), "length", "unaccepted")}
        return [
            *self.place("gd_search", within="trial"),
            self.search("trial", self.here() | {"reference": f"{self.scope}/objective"}),
            *self.place("gd_taken", outcome),
        ]


class GraphNMAPG(GraphGradientMethod):
    """Accelerated gradient descent with two searches in a step. The second one is needed where the first one fails."""

    name, state = "nmapg", NMAPGState

    @classmethod
    def started(cls, found: SmoothState) -> State:
        """See `GraphGradientMethod.started`."""
        return NMAPGState.first(found)

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """See `GraphSolver.own_pieces`."""
        values = names_of(cls.state)
        begun = (*point("from"), "reference", "first_length", "unsettled")
        settings = ("lambda_reg", "squared_norm")
        return cls.search_pieces(problem, curvature) | {
            "extrapolate": Piece(steps.Extrapolate(), (values,), ("tentative",)),
            "nmapg_search": Piece(
                steps.NMAPGSearch(curvature), (values, point("tentative"), "status", *settings), begun
            ),
            "plain_search": Piece(
                steps.PlainSearch(curvature),
                (values, point("fast_from"), point("fast"), "fast_length", "status", *settings),
                (*begun, "any"),
            ),
            "nmapg_taken": Piece(
                steps.NMAPGTaken(curvature),
                (
                    *(values, point("fast_from"), point("fast"), "fast_length"),
                    *(point("plain"), "plain_length", "fails", *settings),
                ),
                tuple(f"new_{value}" for value in values),
            ),
        }

    def step(self) -> Nodes:
        """See `GraphSolver.step`."""
        scope = self.scope
        tentative = {value: f"{scope}/{value}" for value in point("tentative")}
        fast = {value: f"{scope}/fast/{value.removeprefix('fast_')}" for value in point("fast_from")}
        fast |= dict(zip(point("fast"), point(f"{scope}/fast/found"), strict=True))
        fast["fast_length"] = f"{scope}/fast/length"
        plain = dict(zip(point("plain"), point(f"{scope}/plain/found"), strict=True))
        plain |= {"plain_length": f"{scope}/plain/length", "fails": f"{scope}/plain/unsettled"}
        return [
            *self.place("extrapolate"),
            *self.evaluated("objective_with_gradient", f"{scope}/tentative", f"{scope}/tentative"),
            *self.place("nmapg_search", tentative, "fast"),
            self.search("fast"),
            *self.place("plain_search", fast, "plain"),
            self.search("plain", begin=f"{scope}/plain/any"),
            *self.place("nmapg_taken", fast | plain),
        ]
