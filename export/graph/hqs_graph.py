"""Half-quadratic splitting as nodes of a graph; `gradprox.export.graph.hqs_steps` has the modules."""

from __future__ import annotations

from gradprox.export.graph import hqs_steps as steps
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_graph import WITH_DENOISED, GraphSolver, Nodes, point
from gradprox.export.graph.solver_steps import FirstState, names_of
from gradprox.export.graph.tracing import Piece
from gradprox.solvers.hqs import HQSState


class GraphHQS(GraphSolver):
    """Half-quadratic splitting. A prior that is no prox needs a line search."""

    name, state = "hqs", HQSState

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:  # noqa: ARG003
        """See `GraphSolver.own_pieces`."""
        values = names_of(cls.state)
        new, found = (point(name, WITH_DENOISED) for name in ("new", "found"))
        return {
            "objective": Piece(
                steps.Objective(problem),
                ("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", problem.known),
                ("new_objective", "new_rounding"),
            ),
            "hqs_begin": Piece(
                FirstState(lambda values: HQSState.first(*values)),
                (new,),
                tuple(f"first_{value}" for value in values),
            ),
            "whole_step": Piece(steps.WholeStep(), ("status", "lambda_reg"), ("weights",)),
            "hqs_search": Piece(steps.HQSSearch(), ("status", "fraction"), ("first_length", "unsettled")),
            "relax": Piece(
                steps.Relax(),
                ("x", "denoised", "tried", "open_before", "lambda_reg"),
                ("trial_length", "target", "weights"),
            ),
            "hqs_accept": Piece(
                steps.HQSAccept(),
                ("x", "objective", "rounding", *new[:3], "weights", "open_before"),
                ("search_goes_on", "still_open"),
            ),
            "hqs_taken": Piece(
                steps.HQSTaken(),
                (values, found, "length", "unaccepted"),
                tuple(f"new_{value}" for value in values),
            ),
        }

    def first(self, x: str) -> Nodes:
        """See `GraphSolver.first`."""
        start = f"{self.scope}/start"
        given = {f"new{value}": f"{start}{value}" for value in WITH_DENOISED} | {"new": x}
        return [*self.evaluated("objective", start, x), *self.place("hqs_begin", given)]

    def step(self) -> Nodes:
        """See `GraphSolver.step`."""
        scope, parts = self.scope, self.parts
        x, denoised, weights = (f"{scope}/{value}" for value in ("x", "denoised", "weights"))
        if parts.is_prox:
            found = f"{scope}/found"
            after = {f"new{value}": f"{found}{value}" for value in WITH_DENOISED}
            after |= {f"first_{value}": f"{scope}/new_{value}" for value in names_of(self.state)}
            return [
                *self.place("whole_step"),
                *parts.fit(f"{scope}/fit", x, denoised, weights, found),
                *self.evaluated("objective", found, found),
                *self.place("hqs_begin", after, "after"),
            ]
        # The point of a trial must not have the name of a value of the next state.
        new = f"{scope}/trial/new"
        inside = {value: f"{scope}/trial/{value}" for value in point("new", WITH_DENOISED)}
        trial = [
            *self.place("relax", within="trial"),
            *parts.fit(f"{scope}/fit", x, f"{scope}/trial/target", f"{scope}/trial/weights", new),
            *self.evaluated("objective", new, new),
            *self.place("hqs_accept", inside, within="trial"),
        ]
        before = [f"{scope}/{value}" for value in ("x", "objective", "rounding", "denoised")]
        outcome = {v: f"{scope}/trial/{v}" for v in (*point("found", WITH_DENOISED), "length", "unaccepted")}
        return [
            *self.place("hqs_search", within="trial"),
            self.searched(f"{scope}/trial", WITH_DENOISED, trial, before),
            *self.place("hqs_taken", outcome),
        ]
