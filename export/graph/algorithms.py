"""The steps of each exported solver as nodes of a graph.

An `Algorithm` lists the modules that its steps are traced from (`gradprox.export.graph.algorithm_steps`), and joins
them: parts, passes of the network, and searches. Everything else is the same for all solvers, and
`gradprox.export.graph.parts` has it. Inside the scope ``S`` of a solver, the values of its state are ``S/x``,
``S/objective`` and so on: before the loop ``S/first_x``, and after a step ``S/new_x``. A *point* ``P`` is a few of
them at one image: ``P`` itself, ``P_objective``, ``P_rounding``, and ``P_gradient`` or ``P_denoised``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from onnx import NodeProto, TensorProto, helper

from gradprox.export.graph import algorithm_steps
from gradprox.export.graph.loop import Carried, loop_around
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_steps import Record, names_of
from gradprox.export.graph.tracing import Piece
from gradprox.solvers.fista import FISTAState
from gradprox.solvers.forward_backward import ForwardBackwardState
from gradprox.solvers.gd import GDState
from gradprox.solvers.hqs import HQSState
from gradprox.solvers.nmapg import NMAPGState
from gradprox.solvers.smooth_objective import SmoothState
from gradprox.solvers.state import State

if TYPE_CHECKING:
    from gradprox.export.graph.parts import Parts

BOOL: int = TensorProto.BOOL
DOUBLE: int = TensorProto.DOUBLE
FLOAT: int = TensorProto.FLOAT
# The values of a point, with their types.
DENOISED = {"": FLOAT, "_objective": DOUBLE, "_rounding": DOUBLE, "_denoised": FLOAT}
SMOOTH = {"": FLOAT, "_objective": DOUBLE, "_rounding": DOUBLE, "_gradient": FLOAT}

Nodes = list[NodeProto]
Names = Mapping[str, str]


def point(name: str, values: Mapping[str, int] = SMOOTH) -> tuple[str, ...]:
    """Return the names of the values of a point."""
    return tuple(f"{name}{value}" for value in values)


class Algorithm(ABC):
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
        values = {f"new{value}": f"{name}{value}" for value in {**SMOOTH, **DENOISED}}
        return [
            *self.parts.denoise(name, images, self.settings["sigma"], f"{name}_denoised", f"{name}/energy"),
            *self.parts.place(part, name, {**values, "new": images, **self.settings}),
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


class HQS(Algorithm):
    """Half-quadratic splitting. A prior that is no prox needs a line search."""

    name, state = "hqs", HQSState

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:  # noqa: ARG003
        """See `Algorithm.own_pieces`."""
        steps, values = algorithm_steps, names_of(cls.state)
        new, found = (point(name, DENOISED) for name in ("new", "found"))
        return {
            "objective": Piece(
                steps.Objective(problem),
                ("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", problem.known),
                ("new_objective", "new_rounding"),
            ),
            "hqs_begin": Piece(
                steps.First(lambda values: HQSState.first(*values)),
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
        """See `Algorithm.first`."""
        start = f"{self.scope}/start"
        given = {f"new{value}": f"{start}{value}" for value in DENOISED} | {"new": x}
        return [*self.evaluated("objective", start, x), *self.place("hqs_begin", given)]

    def step(self) -> Nodes:
        """See `Algorithm.step`."""
        scope, parts = self.scope, self.parts
        x, denoised, weights = (f"{scope}/{value}" for value in ("x", "denoised", "weights"))
        if parts.is_prox:
            found = f"{scope}/found"
            after = {f"new{value}": f"{found}{value}" for value in DENOISED}
            after |= {f"first_{value}": f"{scope}/new_{value}" for value in names_of(self.state)}
            return [
                *self.place("whole_step"),
                *parts.fit(f"{scope}/fit", x, denoised, weights, found),
                *self.evaluated("objective", found, found),
                *self.place("hqs_begin", after, "after"),
            ]
        # The point of a trial must not have the name of a value of the next state.
        new = f"{scope}/trial/new"
        inside = {value: f"{scope}/trial/{value}" for value in point("new", DENOISED)}
        trial = [
            *self.place("relax", within="trial"),
            *parts.fit(f"{scope}/fit", x, f"{scope}/trial/target", f"{scope}/trial/weights", new),
            *self.evaluated("objective", new, new),
            *self.place("hqs_accept", inside, within="trial"),
        ]
        before = [f"{scope}/{value}" for value in ("x", "objective", "rounding", "denoised")]
        outcome = {v: f"{scope}/trial/{v}" for v in (*point("found", DENOISED), "length", "unaccepted")}
        return [
            *self.place("hqs_search", within="trial"),
            self.searched(f"{scope}/trial", DENOISED, trial, before),
            *self.place("hqs_taken", outcome),
        ]


class Smooth(Algorithm):
    """A solver that searches the length of gradient steps on ``F``."""

    @classmethod
    def search_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """Return the modules of gradient steps and their search."""
        steps, values = algorithm_steps, names_of(cls.state)
        return {
            "smooth": Piece(
                steps.Smooth(problem),
                *(
                    (
                        *("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", "squared_norm"),
                        problem.known,
                    ),
                    ("new_objective", "new_rounding", "new_gradient"),
                ),
            ),
            f"{cls.name}_begin": Piece(
                steps.First(lambda values: cls.started(SmoothState(*values))),
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
        """See `Algorithm.first`."""
        start = f"{self.scope}/start"
        given = {f"new{value}": f"{start}{value}" for value in SMOOTH} | {"new": x}
        return [
            *self.place("proven"),
            *self.evaluated("smooth", start, x),
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
            *self.evaluated("smooth", f"{scope}/new", f"{scope}/new"),
            *self.place("accept", {**given, **new}, within),
        ]
        return self.searched(scope, SMOOTH, trial, origin, begin)


class GD(Smooth):
    """Gradient descent."""

    name, state = "gd", GDState

    @classmethod
    def started(cls, found: SmoothState) -> State:
        """See `Smooth.started`."""
        return GDState.first(found)

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """See `Algorithm.own_pieces`."""
        steps, values = algorithm_steps, names_of(cls.state)
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
        """See `Algorithm.step`."""
        scope = f"{self.scope}/trial"
        outcome = {value: f"{scope}/{value}" for value in (*point("found"), "length", "unaccepted")}
        return [
            *self.place("gd_search", within="trial"),
            self.search("trial", self.here() | {"reference": f"{self.scope}/objective"}),
            *self.place("gd_taken", outcome),
        ]


class NMAPG(Smooth):
    """Accelerated gradient descent with two searches in a step. The second one is needed where the first one fails."""

    name, state = "nmapg", NMAPGState

    @classmethod
    def started(cls, found: SmoothState) -> State:
        """See `Smooth.started`."""
        return NMAPGState.first(found)

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """See `Algorithm.own_pieces`."""
        steps, values = algorithm_steps, names_of(cls.state)
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
        """See `Algorithm.step`."""
        scope = self.scope
        tentative = {value: f"{scope}/{value}" for value in point("tentative")}
        fast = {value: f"{scope}/fast/{value.removeprefix('fast_')}" for value in point("fast_from")}
        fast |= dict(zip(point("fast"), point(f"{scope}/fast/found"), strict=True))
        fast["fast_length"] = f"{scope}/fast/length"
        plain = dict(zip(point("plain"), point(f"{scope}/plain/found"), strict=True))
        plain |= {"plain_length": f"{scope}/plain/length", "fails": f"{scope}/plain/unsettled"}
        return [
            *self.place("extrapolate"),
            *self.evaluated("smooth", f"{scope}/tentative", f"{scope}/tentative"),
            *self.place("nmapg_search", tentative, "fast"),
            self.search("fast"),
            *self.place("plain_search", fast, "plain"),
            self.search("plain", begin=f"{scope}/plain/any"),
            *self.place("nmapg_taken", fast | plain),
        ]


class PGD(Algorithm):
    """Proximal gradient descent."""

    name = "pgd"
    state: ClassVar[type[State]] = ForwardBackwardState

    @classmethod
    def started(cls, found: ForwardBackwardState) -> State:
        """Return the state before the first step."""
        return found

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:  # noqa: ARG003
        """See `Algorithm.own_pieces`."""
        steps, values = algorithm_steps, names_of(cls.state)
        ahead = ("ahead", "ahead_gradient")
        return {
            f"{cls.name}_begin": Piece(
                steps.Gradient(problem, cls.started),
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
        """See `Algorithm.first`."""
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
        """See `Algorithm.step`."""
        new = dict(zip(names_of(self.state), point(f"{self.scope}/after"), strict=True))
        return [
            *self.taken("after", f"{self.scope}/x", f"{self.scope}/gradient"),
            *(
                helper.make_node("Identity", [name], [f"{self.scope}/new_{value}"], name=f"{name}/new")
                for value, name in new.items()
            ),
        ]


class FISTA(PGD):
    """Accelerated proximal gradient descent. A step that raises the objective is taken again without momentum."""

    name, state = "fista", FISTAState

    @classmethod
    def started(cls, found: ForwardBackwardState) -> State:
        """See `PGD.started`."""
        return FISTAState.first(found)

    @classmethod
    def own_pieces(cls, problem: Problem, curvature: float) -> dict[str, Piece]:
        """See `Algorithm.own_pieces`."""
        steps, values = algorithm_steps, names_of(cls.state)
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
        """See `Algorithm.step`."""
        scope = self.scope
        carried = [
            Carried(
                *(f"{scope}/fast{v}", f"{scope}/before_plain{v}", f"{scope}/again{v}", f"{scope}/plain{v}"),
                kind,
            )
            for v, kind in SMOOTH.items()
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


ALGORITHMS: dict[str, type[Algorithm]] = {kind.name: kind for kind in (HQS, FISTA, NMAPG, PGD, GD)}
