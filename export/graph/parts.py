"""Solvers as nodes of a graph: passes of the network, least-squares fits, and the loop around the steps of a solver.

`Parts` traces all modules that a preset needs, and places their nodes wherever it needs them. The loop is that of
`gradprox.solvers.driver`. `gradprox.export.graph.graph_solvers` lists the steps inside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import torch
from onnx import NodeProto, helper

from gradprox.export.graph.border_inverses import (
    COLUMN_NUMBERS,
    ROW_NUMBERS,
    border_examples,
    border_pieces,
    inverse_nodes,
    line_numbers,
)
from gradprox.export.graph.clipped_fit import (
    CLIPPED_OBJECTIVES,
    clipped_examples,
    clipped_fit,
    clipped_pieces,
)
from gradprox.export.graph.frame import Frame
from gradprox.export.graph.graph_solvers import GRAPH_SOLVERS
from gradprox.export.graph.loop import Carried, if_around, inline_part, loop_around, split
from gradprox.export.graph.pieces import (
    INT64,
    ITERATE,
    closed_fit_pieces,
    iterated_fit_pieces,
    kind_of,
    norm_pieces,
    shared_examples,
    shared_pieces,
)
from gradprox.export.graph.problem import Deblurring, Problem
from gradprox.export.graph.solver_graph import DOUBLE, FLOAT, GraphSolver
from gradprox.export.graph.solver_steps import names_of
from gradprox.export.graph.tiles import tile_nodes
from gradprox.export.graph.tracing import Example, Piece, pruned, trace_together
from gradprox.export.runtime.solver import CLIPPING
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.physics.symmetric_blur import BOUNDS
from gradprox.priors import prior_of
from gradprox.solvers.clipping import NEWTON_STEPS
from gradprox.solvers.line_search import MAX_TRIALS


class Parts:
    """The traced parts of a preset, ready to be placed in a graph.

    Args:
        network: the network of the prior, in single precision.
        problem: the kind of measurement.
        solvers: the names of its solvers.
        further: further modules of a preset, by name.
        examples: the inputs of these modules that no part here has.
    """

    def __init__(
        self,
        network: ImageNetwork,
        problem: Problem,
        solvers: Collection[str],
        further: dict[str, Piece],
        examples: dict[str, Example],
    ) -> None:
        # These solvers take inequalities; here they need a kernel, which measures pixel by pixel.
        clips = isinstance(problem, Deblurring) and {*solvers} <= {*CLIPPED_OBJECTIVES}
        self.frame = Frame(problem, network.channels, clips=clips)
        self.problem = problem
        self.is_prox = network.monotone
        frame, known = self.frame, problem.transform(self.frame.x, self.frame.kernel)
        back = problem.equations((frame.kernel, *known)).back(frame.y)
        self._closed = problem.equations((frame.kernel, *known)).closed_fit(
            frame.x, frame.y, back, torch.ones(1, 1, 1, 1)
        )
        self._depends = problem.closed_here(frame.kernel) is not None
        pieces = shared_pieces(network, problem, depends=self._depends)
        if {*solvers} != {"hqs"}:
            pieces |= norm_pieces(problem, depends=self._depends)
        if isinstance(problem, Deblurring) or "hqs" in solvers:
            pieces |= {} if self._closed is None else closed_fit_pieces(problem)
            if self._closed is None or self._depends or clips:
                pieces |= iterated_fit_pieces(problem)
        if clips:
            pieces |= clipped_pieces(problem, solvers)
        if isinstance(problem, Deblurring) and problem.borders:
            pieces |= border_pieces(problem)
        curvature = prior_of(network).curvature_bound()
        for name in solvers:
            pieces |= GRAPH_SOLVERS[name].pieces(problem, curvature)
        given = shared_examples(network, frame, known, back)
        self.traced = trace_together(
            frame.pieces() | pieces | further,
            frame.examples() | given | border_examples() | clipped_examples(frame, given["back"]) | examples,
        )
        self.tiled = "cut" in pieces
        self.clips = clips
        for part, output in (("compute_tile", "tile"), ("join", "new_denoised"), ("network", "new_denoised")):
            if part in pieces:
                self.traced[f"{part}_without_energy"] = pruned(self.traced[part], {output: output})
        # Values that all parts share; every other value belongs to one place.
        fixed = {"y", "back", "x0", "closed_here", "squared_norm", CLIPPING, "clipped"}
        self.shared = {*fixed, *problem.known, ROW_NUMBERS, COLUMN_NUMBERS}
        counts = {
            "fit_iterations": problem.fit_iterations,
            "trials": 1 + MAX_TRIALS,
            "bounds": BOUNDS,
            "newton_steps": NEWTON_STEPS,
            "once": 1,
        }
        for name, count in counts.items():
            frame.constants[name] = helper.make_tensor(name, INT64, [], [count])
        # Images of the batch, rows and columns.
        frame.constants["tile_axes"] = helper.make_tensor("tile_axes", INT64, [3], [0, 2, 3])
        frame.true("begin")

    def place(self, part: str, scope: str, names: Mapping[str, str] | None = None) -> list[NodeProto]:
        """Return the nodes of a part.

        Args:
            part: its name.
            scope: prefix of the names of its inputs and outputs, and of the values inside, except for shared ones.
            names: other names of inputs and outputs.
        """
        graph = self.traced[part].graph
        renamed = {
            value.name: value.name if value.name in self.shared else f"{scope}/{value.name}"
            for value in (*graph.input, *graph.output)
        }
        return inline_part(
            self.traced[part], f"{scope}/{part}", renamed | dict(names or {}), self.frame.constants
        )

    def transform(self) -> list[NodeProto]:
        """Return the nodes of the values that all fits share, for images of the size of ``start``."""
        numbers = line_numbers(self) if self.problem.borders else []
        return [*self.place("transform", "transform", {"x": "start"}), *numbers]

    def fit(self, scope: str, x: str, z: str, weight: str, fitted: str) -> list[NodeProto]:
        """Return the nodes that compute ``argmin f + weight |. - z|^2/2``; iterations begin at ``x``.

        Args:
            scope: prefix of all names inside.
            x: name of the images at which iterations begin.
            z: name of the denoised images.
            weight: name of the weights, one per image.
            fitted: name of the result.
        """
        given = {"x": x, "z": z, "weight": weight}
        before = inverse_nodes(self, scope, given) if self.problem.borders else []
        given |= {name: f"{scope}/{name}" for name in self.problem.borders if name not in self.shared}
        if not self.clips:
            return [*before, *self._least_squares_fit(scope, given, (fitted,))]
        branches = (
            lambda results: clipped_fit(self, f"{scope}/clipped", {**given, "fitted": results[0]}),
            partial(self._least_squares_fit, scope, given),
        )
        return [*before, if_around("clipped", f"{scope}/clipped", {fitted: FLOAT}, branches)]

    def _least_squares_fit(
        self, scope: str, given: Mapping[str, str], results: tuple[str, ...]
    ) -> list[NodeProto]:
        """Return the nodes of a fit to measurements that are equations."""
        (fitted,) = results
        if self._closed is None:
            return self._iterated_fit(scope, {**given, "fitted": fitted})
        if not self._depends:
            return self.place("fit", scope, {**given, "fitted": fitted})
        branches = (
            lambda results: self.place("fit", scope, {**given, "fitted": results[0]}),
            lambda results: self._iterated_fit(scope, {**given, "fitted": results[0]}),
        )
        return [if_around("closed_here", scope, {fitted: FLOAT}, branches)]

    def objective(self, part: str, scope: str, names: Mapping[str, str]) -> list[NodeProto]:
        """Return the nodes of a part that computes the objective; `place` describes the arguments."""
        clipped = f"clipped_{part}"
        if clipped not in self.traced:
            return self.place(part, scope, names)
        kinds = {value.name: value.type.tensor_type.elem_type for value in self.traced[part].graph.output}
        results = {names[name]: kind for name, kind in kinds.items()}

        def branch(key: str, chosen: str, own: tuple[str, ...]) -> list[NodeProto]:
            return self.place(chosen, f"{scope}/{key}", {**names, **dict(zip(kinds, own, strict=True))})

        branches = (partial(branch, "clipped", clipped), partial(branch, "plain", part))
        return [if_around("clipped", f"{scope}/{part}", results, branches)]

    def _iterated_fit(self, scope: str, given: Mapping[str, str]) -> list[NodeProto]:
        """Return the nodes of a fit by conjugate gradients; `fit` describes the names that are given."""
        last = {value: f"{scope}/last_{value}" for value in ("point", "energy")}
        return [
            *self.place("fit_start", scope, given),
            *self.conjugate_gradients("fit_step", scope, given),
            *self.place("fit_end", scope, {**given, **last}),
        ]

    def conjugate_gradients(self, part: str, scope: str, given: Mapping[str, str]) -> list[NodeProto]:
        """Return the nodes of conjugate gradients; the last state is ``SCOPE/last_point`` and so on.

        Args:
            part: the name of one step.
            scope: prefix of all names inside; the first state is in it.
            given: other names of the inputs of a step.
        """
        carried = [
            Carried(f"{scope}/first_{v}", f"{scope}/{v}", f"{scope}/new_{v}", f"{scope}/last_{v}", DOUBLE)
            for v in ITERATE
        ]
        # What is the same in every step is computed once.
        before, step = split(self.place(part, scope, given), {value.now for value in carried})
        return [
            *before,
            loop_around(
                step,
                scope,
                steps="fit_iterations",
                begin=f"{scope}/begin_fit",
                go_on=f"{scope}/fit_goes_on",
                carried=carried,
            ),
        ]

    def norm(self) -> list[NodeProto]:
        """Return the nodes that compute ``squared_norm``, from which step sizes follow."""
        if not self._depends:
            return self.place("norm", "norm", {"x": "start"})
        carried = [
            Carried(f"norm/first_{value}", f"norm/{value}", f"norm/new_{value}", last, DOUBLE)
            for value, last in (("bound", "squared_norm"), ("bound_weights", "norm/last_weights"))
        ]
        step = self.place("next_bound", "norm")
        step.append(helper.make_node("Identity", ["begin"], ["norm/goes_on"], name="norm/goes_on"))
        return [
            *self.place("first_bound", "norm", {"x": "start"}),
            loop_around(
                *(step, "norm"),
                steps="bounds",
                begin="norm/begin_bound",
                go_on="norm/goes_on",
                carried=carried,
            ),
        ]

    def solver(
        self, solver: GraphSolver, x: str, steps: str, max_iter: str, rows: Sequence[str] = ()
    ) -> list[NodeProto]:
        """Return the nodes of one solver; its last state is ``SCOPE/last_x`` and so on.

        Args:
            solver: its steps, with their scope.
            x: name of the first images.
            steps: name of the steps that each image has taken before.
            max_iter: name of the largest number of steps.
            rows: names of the records of objectives and relative changes; none if not given.
        """
        scope, states = solver.scope, names_of(solver.state)
        carried = [
            Carried(first, f"{scope}/{v}", f"{scope}/next_{v}", f"{scope}/last_{v}", kind)
            for v, first, kind in (
                *((name, f"{scope}/first_{name}", kind_of(name)) for name in states),
                ("status", f"{scope}/begin_status", INT64),
                ("steps", steps, INT64),
            )
        ]
        recorded = (f"{scope}/row_objective", f"{scope}/row_residual")
        return [
            *self.place("begin", scope, {"x": x}),
            *solver.first(x),
            loop_around(
                [*solver.step(), *solver.place(f"{solver.name}_record")],
                scope,
                steps=max_iter,
                begin="begin",
                go_on=f"{scope}/go_on",
                carried=carried,
                rows=dict(zip(rows, recorded, strict=False)),
            ),
        ]

    def denoise(
        self, scope: str, images: str, sigma: str, denoised: str, energy: str | None = None
    ) -> list[NodeProto]:
        """Return the nodes that compute the network.

        Args:
            scope: prefix of all names inside.
            images: name of the images.
            sigma: name of the noise level.
            denoised: name of the denoised images.
            energy: name of their energies; they are not computed if not given.
        """
        if self.tiled:
            return tile_nodes(self.place, scope, images, sigma, denoised, energy)
        names = {"new": images, "sigma": sigma, "new_denoised": denoised}
        if energy is None:
            return self.place("network_without_energy", scope, names)
        return self.place("network", scope, names | {"energy": energy})
