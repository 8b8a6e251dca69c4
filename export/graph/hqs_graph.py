"""Half-quadratic splitting as nodes of a graph: fits, steps with or without a line search, and the loop of a solver.

`HQSParts` traces the modules of `gradprox.export.graph.hqs_steps`, and places their nodes wherever a preset needs them.
A prior that is no prox needs a line search. It is a ``Loop`` of trials inside each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from onnx import NodeProto, helper

from gradprox.export.graph.frame import Frame
from gradprox.export.graph.hqs_pieces import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT64,
    ITERATE,
    OUTCOME,
    STATE,
    hqs_examples,
    hqs_pieces,
)
from gradprox.export.graph.loop import Carried, inline_part, loop_around
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.tiles import tile_nodes
from gradprox.export.graph.tracing import Example, Piece, pruned, trace_together
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.solvers.line_search import MAX_TRIALS


class HQSParts:
    """The traced parts of half-quadratic splitting, ready to be placed in a graph.

    Args:
        network: the network of the prior, in single precision.
        problem: the kind of measurement.
        further: further modules of a preset, by name.
        examples: the inputs of these modules that no part here has.
    """

    def __init__(
        self,
        network: ImageNetwork,
        problem: Problem,
        further: dict[str, Piece],
        examples: dict[str, Example],
    ) -> None:
        self.frame = Frame(problem, network.channels)
        self.is_prox = network.monotone
        frame, known = self.frame, problem.transform(self.frame.x, self.frame.kernel)
        back = problem.equations((frame.kernel, *known)).back(frame.y)
        self._closed = problem.equations((frame.kernel, *known)).closed_fit(
            frame.x, frame.y, back, torch.ones(1, 1, 1, 1)
        )
        self._depends = problem.closed_here(frame.kernel) is not None
        pieces = hqs_pieces(network, problem, closed=self._closed is not None, depends=self._depends)
        self.traced = trace_together(
            frame.pieces() | pieces | further,
            frame.examples() | hqs_examples(network, frame, known, back) | examples,
        )
        self.tiled = "cut" in pieces
        for part, output in (("compute_tile", "tile"), ("join", "new_denoised"), ("network", "new_denoised")):
            if part in pieces:
                self.traced[f"{part}_without_energy"] = pruned(self.traced[part], {output: output})
        # Values that all parts share; every other value belongs to one place.
        self.shared = {"y", "back", "x0", "closed_here", *problem.known}
        for name, count in (("fit_iterations", problem.fit_iterations), ("trials", 1 + MAX_TRIALS)):
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

    def fit(self, scope: str, x: str, z: str, weight: str, fitted: str) -> list[NodeProto]:
        """Return the nodes that compute ``argmin f + weight |. - z|^2/2``; iterations begin at ``x``.

        Args:
            scope: prefix of all names inside.
            x: name of the images at which iterations begin.
            z: name of the denoised images.
            weight: name of the weights, one per image.
            fitted: name of the result.
        """
        given = {"x": x, "z": z, "weight": weight, "fitted": fitted}
        if self._closed is None:
            return self._iterated_fit(scope, given)
        if not self._depends:
            return self.place("fit", scope, given)
        branches = {}
        for name, place in (("then", partial(self.place, "fit")), ("else", self._iterated_fit)):
            result = f"{scope}/{name}_fitted"
            value = helper.make_tensor_value_info(result, FLOAT, None)
            nodes = place(f"{scope}/{name}", given | {"fitted": result})
            branches[f"{name}_branch"] = helper.make_graph(nodes, f"{scope}/{name}", [], [value])
        return [helper.make_node("If", ["closed_here"], [fitted], name=f"{scope}/if", **branches)]

    def _iterated_fit(self, scope: str, given: Mapping[str, str]) -> list[NodeProto]:
        """Return the nodes of a fit by conjugate gradients; `fit` describes the names that are given."""
        carried = [
            Carried(f"{scope}/first_{v}", f"{scope}/{v}", f"{scope}/new_{v}", f"{scope}/last_{v}", DOUBLE)
            for v in ITERATE
        ]
        last = {value: f"{scope}/last_{value}" for value in ("point", "energy")}
        return [
            *self.place("fit_start", scope, given),
            loop_around(
                self.place("fit_step", scope, given),
                scope,
                steps="fit_iterations",
                begin=f"{scope}/begin_fit",
                go_on=f"{scope}/fit_goes_on",
                carried=carried,
            ),
            *self.place("fit_end", scope, {**given, **last}),
        ]

    def solver(
        self,
        scope: str,
        x: str,
        steps: str,
        settings: dict[str, str],
        max_iter: str,
        rows: Sequence[str] = (),
    ) -> list[NodeProto]:
        """Return the nodes of one solver; its last state is ``SCOPE/last_x`` and so on.

        Args:
            scope: prefix of all names inside.
            x: name of the first images.
            steps: name of the steps that each image has taken before.
            settings: names of ``sigma``, ``lambda_reg`` and ``tol``.
            max_iter: name of the largest number of steps.
            rows: names of the records of objectives and relative changes; none if not given.
        """
        first = {"x": x, "steps": steps} | {
            value: f"{scope}/first_{value}" for value in ("denoised", "objective", "rounding")
        }
        first |= {value: f"{scope}/begin_{value}" for value in ("status", "fraction")}
        carried = [
            Carried(first[v], f"{scope}/{v}", f"{scope}/next_{v}", f"{scope}/last_{v}", kind)
            for v, kind in STATE.items()
        ]
        recorded = (f"{scope}/row_objective", f"{scope}/row_residual")
        return [
            *self.place("begin", scope, {"x": x}),
            *self._evaluated(f"{scope}/first", x, settings),
            loop_around(
                [*self._step(scope, settings), *self.place("record", scope, settings)],
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

    def _evaluated(self, name: str, x: str, settings: dict[str, str]) -> list[NodeProto]:
        """Return the nodes that compute ``NAME_denoised``, ``NAME_objective`` and ``NAME_rounding`` at ``x``."""
        found = {f"new{value}": f"{name}{value}" for value in OUTCOME} | {"new": x}
        return [
            *self.denoise(name, x, settings["sigma"], f"{name}_denoised", f"{name}/energy"),
            *self.place("objective", name, found | settings),
        ]

    def _step(self, scope: str, settings: dict[str, str]) -> list[NodeProto]:
        """Return the nodes that compute the outcome of a step, ``SCOPE/found`` and so on."""
        x, denoised, found = (f"{scope}/{value}" for value in ("x", "denoised", "found"))
        if self.is_prox:
            return [
                *self.place("whole_step", scope, settings),
                *self.fit(f"{scope}/fit", x, denoised, f"{scope}/weights", found),
                *self._evaluated(found, found, settings),
            ]
        new = f"{scope}/new"
        carried = [
            Carried(
                f"{scope}/first_length", f"{scope}/tried", f"{scope}/trial_length", f"{scope}/length", DOUBLE
            ),
            Carried(
                f"{scope}/unsettled", f"{scope}/open_before", f"{scope}/still_open", f"{scope}/stalled", BOOL
            ),
        ]
        # The outcome of the last trial. No trial uses that of the one before.
        before = dict(zip(OUTCOME, ("x", "denoised", "objective", "rounding"), strict=True))
        carried += [
            Carried(f"{scope}/{before[v]}", f"{scope}/before{v}", f"{new}{v}", f"{found}{v}", kind)
            for v, kind in OUTCOME.items()
        ]
        trial = [
            *self.place("relax", scope, settings),
            *self.fit(f"{scope}/fit", x, f"{scope}/target", f"{scope}/weights", new),
            *self._evaluated(new, new, settings),
            *self.place("accept", scope),
        ]
        return [
            *self.place("search_start", scope),
            loop_around(
                trial,
                f"{scope}/search",
                steps="trials",
                begin="begin",
                go_on=f"{scope}/search_goes_on",
                carried=carried,
            ),
        ]
