"""The preset of compressed sensing as an ONNX model: a ``Loop`` over the solvers of its warm start, then the last one.

Each solver is a ``Loop`` of FISTA steps. A step that raises the objective is taken again without momentum: an ``If``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from onnx import ModelProto, NodeProto, TensorProto, helper

from gradprox.export.graph import sensing_steps
from gradprox.export.graph.frame import Frame
from gradprox.export.graph.loop import Carried, inline_part, loop_around
from gradprox.export.graph.problem import Sensing
from gradprox.export.graph.recipe import SensingRecipe
from gradprox.export.graph.tracing import Example, Piece, trace_together
from gradprox.networks.denoisers.config import ImageNetwork

BOOL, DOUBLE, FLOAT, INT64 = TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64
# The state of a solver, with the types of its values.
STATE = {
    **dict.fromkeys(("x", "gradient", "before", "gradient_before"), FLOAT),
    **dict.fromkeys(("objective", "momentum"), DOUBLE),
    **dict.fromkeys(("status", "steps"), INT64),
}
# The outcome of a step: images, gradient and objective.
OUTCOME = {"new": FLOAT, "new_slope": FLOAT, "found": DOUBLE}


def sensing_model(network: ImageNetwork, recipe: SensingRecipe, problem: Sensing) -> ModelProto:
    """Return the ONNX model of a preset; `export_solver` describes its inputs and outputs.

    Args:
        network: the network of its prior, in single precision.
        recipe: the numbers of the preset.
        problem: the measurements.
    """
    parts = _Parts(network, recipe, problem)
    frame, place = parts.frame, parts.place
    fixed = helper.make_tensor("warm_tol", FLOAT, [1], [recipe.warm_tol])
    frame.constants["warm_tol"] = fixed
    warm = [
        *place("stage", "stage", {"levels": "all_levels", "number": "warm/number"}),
        *parts.solver("inner", "warm", "stage_sigma", "stage_steps", "warm_tol", recorded=False),
        helper.make_node("Identity", ["begin"], ["warm/go_on"], name="warm/go_on"),
    ]
    carried = [
        Carried(first, f"warm/{name}", f"inner/last_{name}", f"main/{name}", STATE[name])
        for name, first in (("x", "start"), ("gradient", "first_gradient"), ("steps", "no_steps"))
    ]
    nodes = [
        *frame.start_nodes(parts.traced),
        *place("schedule", "schedule", {}),
        *place("first_gradient", "first", {"x": "start", "slope_at_start": "first_gradient"}),
        loop_around(
            warm, "warm", steps="stage_count", begin=frame.true("begin"), go_on="warm/go_on", carried=carried
        ),
        *parts.solver("last", "main", "last_sigma", "max_iter", "tol", recorded=True),
        helper.make_node("Identity", ["last/last_status"], ["status"], name="status"),
        helper.make_node("Identity", ["last/last_steps"], ["steps"], name="steps"),
        *frame.history_nodes("objective_rows", "residual_rows", "last/first_objective"),
        *frame.finish_nodes(parts.traced, "last/last_x"),
    ]
    return frame.model(nodes, ("noise", "strength", "tol"), parts.traced["schedule"].ir_version)


class _Parts:
    """The traced parts of a preset, ready to be placed in its graph.

    Args:
        network: the network of its prior, in single precision.
        recipe: the numbers of the preset.
        problem: the measurements.
    """

    def __init__(self, network: ImageNetwork, recipe: SensingRecipe, problem: Sensing) -> None:
        self.frame = Frame(problem, network.channels)
        pieces = self.frame.pieces() | _pieces(network, recipe, problem)
        self.traced = trace_together(pieces, self.frame.examples() | self._examples())

    def place(self, part: str, prefix: str, names: Mapping[str, str]) -> list[NodeProto]:
        """Return the nodes of a part; its inputs and outputs are values of the graph, under other names if given."""
        return inline_part(self.traced[part], prefix, dict(names), self.frame.constants)

    def solver(
        self, name: str, start: str, sigma: str, steps: str, tol: str, *, recorded: bool
    ) -> list[NodeProto]:
        """Return the nodes of one solver.

        Args:
            name: prefix of all names inside; the last state is ``NAME/last_x`` and so on.
            start: prefix of the names of the first images, their gradient, and the steps before.
            sigma: name of the noise level.
            steps: name of the largest number of steps.
            tol: name of the tolerance.
            recorded: whether to record objectives and relative changes, as ``objective_rows`` and ``residual_rows``.
        """
        begun = {value: f"{name}/first_{value}" for value in STATE}
        begun |= {value: f"{start}/{value}" for value in ("x", "gradient", "steps")}
        new_state = [value for value in STATE if value not in ("x", "gradient", "steps")]
        reset = {f"reset_{value}": begun[value] for value in new_state}
        carried = [
            Carried(begun[value], f"{name}/{value}", f"{name}/next_{value}", f"{name}/last_{value}", kind)
            for value, kind in STATE.items()
        ]
        rows = {"objective_rows": f"{name}/new_objective", "residual_rows": f"{name}/new_residual"}
        return [
            *self.place("reset", f"{name}_reset", {"x": begun["x"], "gradient": begun["gradient"]} | reset),
            loop_around(
                self._step(name, sigma, tol),
                name,
                steps=steps,
                begin="begin",
                go_on=f"{name}/go_on",
                carried=carried,
                rows=rows if recorded else None,
            ),
        ]

    def _step(self, name: str, sigma: str, tol: str) -> list[NodeProto]:
        state = {value: f"{name}/{value}" for value in STATE}
        first = {value: f"{name}/fast_{value}" for value in OUTCOME}
        plain = {
            "new": f"{name}/plain",
            "new_slope": f"{name}/plain_slope",
            "found": f"{name}/plain_objective",
        }
        final = {value: f"{name}/{value}" for value in OUTCOME}
        worse = {"worse": f"{name}/worse", "any_worse": f"{name}/any_worse"}
        point = {"point": f"{name}/point", "slope": f"{name}/slope"}
        again = [
            *self.place(
                "forward_backward",
                f"{name}_plain",
                plain | {"point": state["x"], "slope": state["gradient"], "sigma": sigma},
            ),
            *self.place(
                "choose",
                f"{name}_choose",
                first
                | worse
                | {value: f"{name}/{value}" for value in ("plain", "plain_slope", "plain_objective")}
                | {f"chosen_{value}": f"{name}/then_{value}" for value in OUTCOME},
            ),
        ]
        keep = [
            helper.make_node(
                "Identity", [first[value]], [f"{name}/else_{value}"], name=f"{name}/else_{value}"
            )
            for value in OUTCOME
        ]
        branches = {
            f"{branch}_branch": helper.make_graph(
                nodes,
                f"{name}_{branch}",
                [],
                [
                    helper.make_tensor_value_info(f"{name}/{branch}_{v}", kind, None)
                    for v, kind in OUTCOME.items()
                ],
            )
            for branch, nodes in (("then", again), ("else", keep))
        }
        following = {f"next_{value}": f"{name}/next_{value}" for value in STATE}
        following |= {value: f"{name}/{value}" for value in ("go_on", "new_objective", "new_residual")}
        return [
            *self.place("extrapolate", f"{name}_extrapolate", state | point),
            *self.place("forward_backward", f"{name}_fast", first | point | {"sigma": sigma}),
            *self.place("compare", f"{name}_compare", state | worse | {"found": first["found"]}),
            helper.make_node("If", [worse["any_worse"]], list(final.values()), name=f"{name}/if", **branches),
            *self.place("record", f"{name}_record", state | worse | final | following | {"tol": tol}),
        ]

    def _examples(self) -> dict[str, Example]:
        frame = self.frame
        one, counter = torch.full((1,), 0.1), torch.zeros(len(frame.y), dtype=torch.long)
        image, batch = Example(frame.x, frame.open["x"]), frame.open["batch"]
        images = ("gradient", "before", "gradient_before", "point", "slope", "new", "new_slope", "plain")
        return {
            **dict.fromkeys((*images, "plain_slope"), image),
            **dict.fromkeys(
                ("objective", "momentum", "found", "plain_objective"), Example(counter.double(), batch)
            ),
            **dict.fromkeys(("status", "steps"), Example(counter, batch)),
            **dict.fromkeys(("sigma", "tol", "noise", "strength"), Example(one, {})),
            "worse": Example(counter == 0, batch),
            "levels": Example(torch.full((7,), 0.1), {0: torch.export.Dim.AUTO}),
            "number": Example(torch.tensor(3), {}),
        }


def _pieces(network: ImageNetwork, recipe: SensingRecipe, problem: Sensing) -> dict[str, Piece]:
    """Return the modules of a preset."""
    return {
        "schedule": Piece(
            sensing_steps.Schedule(recipe), ("noise", "strength"), ("all_levels", "stage_count", "last_sigma")
        ),
        "stage": Piece(sensing_steps.Stage(recipe), ("levels", "number"), ("stage_sigma", "stage_steps")),
        "first_gradient": Piece(
            sensing_steps.FirstGradient(problem), ("x", "y"), ("slope_at_start", "no_steps")
        ),
        "reset": Piece(
            sensing_steps.Reset(),
            ("x", "gradient"),
            tuple(f"reset_{v}" for v in ("before", "gradient_before", "objective", "momentum", "status")),
        ),
        "extrapolate": Piece(
            sensing_steps.Extrapolate(),
            ("x", "gradient", "before", "gradient_before", "momentum"),
            ("point", "slope"),
        ),
        "forward_backward": Piece(
            sensing_steps.ForwardBackward(problem, network),
            ("point", "slope", "sigma", "y"),
            tuple(OUTCOME),
        ),
        "compare": Piece(sensing_steps.Compare(), ("found", "objective", "status"), ("worse", "any_worse")),
        "choose": Piece(
            sensing_steps.Choose(),
            ("worse", "plain", "plain_slope", "plain_objective", "new", "new_slope", "found"),
            tuple(f"chosen_{value}" for value in OUTCOME),
        ),
        "record": Piece(
            sensing_steps.Record(),
            ("worse", *OUTCOME, *STATE, "tol"),
            ("go_on", *(f"next_{value}" for value in STATE), "new_objective", "new_residual"),
        ),
    }
