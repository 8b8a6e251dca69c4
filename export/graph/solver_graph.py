"""The parts of a solver, put together as one ONNX model around a real ``Loop``."""

from __future__ import annotations

import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from torch.export import Dim

from gradprox.export.graph.assembly import assemble, loop, place
from gradprox.export.graph.problem import Deblurring, Problem
from gradprox.export.graph.solver_parts import Body, Finish, Start
from gradprox.export.graph.tracing import trace
from gradprox.networks import IdentityPath

# Inputs that every step reads.
SETTINGS = ("y", "kernel", "sigma", "strength", "stepsize", "tol")
_KERNEL = {2: "kernel_height", 3: "kernel_width"}
STATE = ("x", "gradient", "status", "steps")
# What a step reports beside its new state: one row of each history.
ROWS = ("objective", "residual")


def solver_model(network: IdentityPath, algorithm: str, problem: Problem) -> ModelProto:
    """Return the ONNX model of a solver; its inputs and outputs are those of `export_solver`."""
    kernel, one = torch.full((1, 1, 4, 5), 0.05), torch.full((1,), 0.1)
    y, y_sizes = problem.example()
    if network.channels != 1:
        # The example has three channels already.
        y_sizes.pop(1)
    image_sizes = [y_sizes.get(1, network.channels), *problem.image_sizes()]
    x = problem.operator(kernel).initial(y)
    counters = torch.zeros(y.shape[0], dtype=torch.long)
    kernel_sizes = _KERNEL if isinstance(problem, Deblurring) else {}
    # Inside the solver sizes follow from those of its inputs; naming them again would be refused.
    state = (x, x, counters, counters)
    inside = {
        name: {d: Dim.AUTO for d in range(t.ndim) if t.ndim == 1 or d < 2 or kernel_sizes}
        for name, t in zip(STATE, state, strict=True)
    }
    unnamed = {"y": dict.fromkeys(y_sizes, Dim.AUTO), "kernel": dict.fromkeys(kernel_sizes, Dim.AUTO)}

    start = trace(
        Start(network, algorithm, problem),
        (y, kernel, one, one),
        ("y", "kernel", "sigma", "strength"),
        (*STATE, "objective"),
        {"y": y_sizes, "kernel": kernel_sizes},
    )
    body = trace(
        Body(network, algorithm, problem),
        (*state, y, kernel, one, one, one, one),
        (*STATE, *SETTINGS),
        ("go_on", *(f"new_{name}" for name in (*STATE, *ROWS))),
        inside | unnamed,
    )
    if problem.name != "valid":
        return _assemble(start, body, None, problem, image_sizes)
    finish = trace(
        Finish(network, algorithm, problem),
        (x, kernel),
        ("x", "kernel"),
        ("image",),
        {"x": inside["x"], "kernel": unnamed["kernel"]},
    )
    return _assemble(start, body, finish, problem, image_sizes)


def _assemble(
    start: ModelProto,
    body: ModelProto,
    finish: ModelProto | None,
    problem: Problem,
    image_sizes: list[str | int],
) -> ModelProto:
    """Put the parts together: start, a ``Loop`` around the body, finish, if there is any."""
    weights: dict[str, TensorProto] = {}
    nodes = place(start, "start", {name: f"first_{name}" for name in (*STATE, "objective")}, weights)

    weights["axis_0"] = helper.make_tensor("axis_0", TensorProto.INT64, [1], [0])
    weights["one_row_each"] = helper.make_tensor("one_row_each", TensorProto.INT64, [1], [-1])
    nodes += [
        loop(
            body,
            {name: f"first_{name}" for name in STATE},
            [
                "last_x" if finish else "x",
                "last_gradient",
                "status",
                "steps",
                *(f"{name}_rows" for name in ROWS),
            ],
            weights,
        ),
        *_history("residual_rows", "residuals", None),
        *_history("objective_rows", "objective", "first_objective"),
    ]
    if finish:
        nodes += place(finish, "finish", {"x": "last_x", "image": "x"}, weights)
    inputs = [
        value for value in start.graph.input if isinstance(problem, Deblurring) or value.name != "kernel"
    ]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("stepsize", "tol")]
    inputs.append(helper.make_tensor_value_info("max_iter", TensorProto.INT64, []))
    outputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *image_sizes]),
        helper.make_tensor_value_info("residuals", TensorProto.DOUBLE, ["batch", "steps_taken"]),
        helper.make_tensor_value_info("objective", TensorProto.DOUBLE, ["batch", "steps_taken_and_start"]),
        helper.make_tensor_value_info("steps", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("status", TensorProto.INT64, ["batch"]),
    ]
    return assemble(nodes, inputs, outputs, weights, start.ir_version)


def _history(rows: str, name: str, first: str | None) -> list[NodeProto]:
    """Turn rows, one for each step, into ``(B, K)`` or, with the value before the first step, ``(B, K + 1)``.

    After no step at all there are no rows, and ONNX Runtime does not know how long they would be: so the batch is
    read from elsewhere.
    """
    table = f"{name}/table"
    nodes = [
        helper.make_node("Shape", ["first_status"], [f"{name}/batch"], name=f"{name}/batch"),
        helper.make_node(
            "Concat", ["one_row_each", f"{name}/batch"], [f"{name}/shape"], axis=0, name=f"{name}/shape"
        ),
        helper.make_node("Reshape", [rows, f"{name}/shape"], [table], name=table),
    ]
    if first is None:
        return [*nodes, helper.make_node("Transpose", [table], [name], perm=[1, 0], name=f"{name}/turned")]
    return [
        *nodes,
        helper.make_node("Unsqueeze", [first, "axis_0"], [f"{name}/first"], name=f"{name}/first"),
        helper.make_node("Concat", [f"{name}/first", table], [f"{name}/all"], axis=0, name=f"{name}/all"),
        helper.make_node("Transpose", [f"{name}/all"], [name], perm=[1, 0], name=f"{name}/turned"),
    ]
