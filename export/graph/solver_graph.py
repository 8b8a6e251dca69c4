"""The steps of an exported solver as nodes of a graph.

A `GraphSolver` lists the modules that its steps are traced from, and joins them: parts, passes of the network, and
searches. Everything else is the same for all solvers, and `gradprox.export.graph.parts` has it.

Inside the scope ``S`` of a solver, the values of its state are ``S/x``, ``S/objective`` and so on: before the loop
``S/first_x``, and after a step ``S/new_x``. A *point* ``P`` is a few of them at one image: ``P`` itself,
``P_objective``, ``P_rounding``, and ``P_gradient`` or ``P_denoised``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from onnx import NodeProto, TensorProto

from gradprox.export.graph.loop import Carried, loop_around
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_steps import Record, names_of
from gradprox.export.graph.tracing import Piece
from gradprox.solvers.state import State

if TYPE_CHECKING:
    from gradprox.export.graph.parts import Parts

BOOL: int = TensorProto.BOOL
DOUBLE: int = TensorProto.DOUBLE
FLOAT: int = TensorProto.FLOAT
# The values of a point, with their types.
WITH_DENOISED = {"": FLOAT, "_objective": DOUBLE, "_rounding": DOUBLE, "_denoised": FLOAT}
WITH_GRADIENT = {"": FLOAT, "_objective": DOUBLE, "_rounding": DOUBLE, "_gradient": FLOAT}

Nodes = list[NodeProto]
Names = Mapping[str, str]


def point(name: str, values: Mapping[str, int] = WITH_GRADIENT) -> tuple[str, ...]:
    """Return the names of the values of a point."""
    return tuple(f"{name}{value}" for value in values)


class GraphSolver(ABC):
    """A solver at one place of a graph.

    Args:
        parts: the traced parts of the graph.
        scope: prefix of all names inside.
        settings: names of ``sigma``, ``lambda_reg`` and ``tol``.

    Attributes:
        name: its name.
        state: the class of its states.
    """

    name: ClassVar[str]
    state: ClassVar[type[State]]

    def __init__(self, parts: Parts, scope: str, settings: Names) -> None:
        self.parts, self.scope, self.settings = parts, scope, settings
        inside = (*names_of(self.state), "status", "steps", "proven")
        self._outer = {**settings, **{value: f"{scope}/{value}" for value in inside}}

    @classmethod
    def pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """Return the modules.

        Args:
            problem: the kind of measurement.
            curvature: a proven bound of the curvature of the prior's energy; infinite where none is known.
        """
        values = names_of(cls.state)
        record = Piece(
            Record(cls.state),
            (tuple(f"new_{value}" for value in values), values, "status", "steps", "tol"),
            (
                "go_on",
                *(f"next_{value}" for value in (*values, "status", "steps")),
                "row_objective",
                "row_residual",
            ),
        )
        return {f"{cls.name}_record": record, **cls.own_pieces(problem, curvature)}

    @classmethod
    @abstractmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """Return the modules of `first` and `step`."""

    @abstractmethod
    def first(self, x: str) -> Nodes:
        """Return the nodes that compute the state before the first step, at the images ``x``."""

    @abstractmethod
    def step(self) -> Nodes:
        """Return the nodes of one step."""

    def place(self, part: str, names: Names | None = None, within: str = "") -> Nodes:
        """Return the nodes of a part that takes the values of the state.

        Args:
            part: its name.
            names: other names of inputs and outputs.
            within: a scope inside that of the solver.
        """
        scope = f"{self.scope}/{within}" if within else self.scope
        return self.parts.place(part, scope, {**self._outer, **(names or {})})

    def evaluated(self, part: str, name: str, images: str) -> Nodes:
        """Return the nodes that compute the point ``name`` at some images."""
        inside = {f"new{value}": f"{name}{value}" for value in {**WITH_GRADIENT, **WITH_DENOISED}}
        inside["energy"] = f"{name}/energy"
        return [
            *self.parts.denoise(name, images, self.settings["sigma"], f"{name}_denoised", f"{name}/energy"),
            *self.parts.objective(part, name, {**inside, "new": images, **self.settings}),
        ]

    def searched(
        self, scope: str, kinds: Mapping[str, int], trial: Nodes, first: Sequence[str], begin: str = "begin"
    ) -> NodeProto:
        """Return the ``Loop`` of a line search: the last trial is the point ``found``, with its ``length``.

        Args:
            scope: the scope of the search; ``unsettled`` says in it which images need one.
            kinds: the values of a point, with their types.
            trial: the nodes of one trial.
            first: names of a point that is the result where no trial is made.
            begin: name of the bool that says whether to make a first trial.
        """
        carried = [
            Carried(
                f"{scope}/first_length", f"{scope}/tried", f"{scope}/trial_length", f"{scope}/length", DOUBLE
            ),
            Carried(
                f"{scope}/unsettled",
                f"{scope}/open_before",
                f"{scope}/still_open",
                f"{scope}/unaccepted",
                BOOL,
            ),
            # No trial uses the outcome of the one before.
            *(
                Carried(name, f"{scope}/before{value}", f"{scope}/new{value}", f"{scope}/found{value}", kind)
                for name, (value, kind) in zip(first, kinds.items(), strict=True)
            ),
        ]
        go_on = f"{scope}/search_goes_on"
        return loop_around(
            trial, f"{scope}/search", steps="trials", begin=begin, go_on=go_on, carried=carried
        )
