"""A solver as an ONNX model: its iterations are a ``Loop``, and each image stops at its own step."""

from __future__ import annotations

import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from torch.export import Dim

from gradprox.export.graph.loop import build_model, if_node, inline_part, loop_node
from gradprox.export.graph.problem import Deblurring, Problem
from gradprox.export.graph.solver_steps import Body, Finish, GivenStart, OwnStart, Start
from gradprox.export.graph.tracing import trace
from gradprox.networks.denoisers.config import ImageNetwork

# Inputs that are the same in every step.
SETTINGS = ("y", "kernel", "sigma", "lambda_reg", "stepsize", "tol")
_KERNEL = {2: "kernel_height", 3: "kernel_width"}
STATE = ("x", "gradient", "status", "steps")
# Outputs of a step besides its new state: one row of each history.
ROWS = ("objective", "residual")


def solver_model(network: ImageNetwork, algorithm: str, problem: Problem) -> ModelProto:
    """Return the ONNX model of a solver; `export_solver` describes its inputs and outputs.

    Args:
        network: the network of its prior, in single precision.
        algorithm: one of `gradprox.export.graph.solver_steps.ALGORITHMS`.
        problem: the inverse problem that the solver is exported for.
    """
    kernel, one = torch.full((1, 1, 4, 5), 0.05), torch.full((1,), 0.1)
    y, y_sizes = problem.example()
    if network.channels != 1:
        # A color network takes three channels, as in the example, so the number of channels is not dynamic.
        y_sizes.pop(1)
    image_sizes = [y_sizes.get(1, network.channels), *problem.image_sizes()]
    x = problem.operator(kernel).initial(y)
    counters = torch.zeros(y.shape[0], dtype=torch.long)
    kernel_sizes = _KERNEL if isinstance(problem, Deblurring) else {}
    # Sizes inside the loop follow from those of the inputs, and the exporter does not accept a second name for them.
    state = (x, x, counters, counters)
    inside = {
        name: {d: Dim.AUTO for d in range(t.ndim) if t.ndim == 1 or d < 2 or kernel_sizes}
        for name, t in zip(STATE, state, strict=True)
    }
    unnamed = {"y": dict.fromkeys(y_sizes, Dim.AUTO), "kernel": dict.fromkeys(kernel_sizes, Dim.AUTO)}

    given = trace(
        GivenStart(network, algorithm, problem),
        (y if isinstance(problem, Deblurring) else x, kernel),
        ("x0", "kernel"),
        ("start",),
        {"x0": inside["x"], "kernel": unnamed["kernel"]},
    )
    own = trace(
        OwnStart(network, algorithm, problem),
        (y, kernel),
        ("y", "kernel"),
        ("start",),
        {"y": y_sizes, "kernel": kernel_sizes},
    )
    start = trace(
        Start(network, algorithm, problem),
        (x, y, kernel, one, one),
        ("start", "y", "kernel", "sigma", "lambda_reg"),
        (*STATE, "objective"),
        {"start": inside["x"]} | unnamed,
    )
    body = trace(
        Body(network, algorithm, problem),
        (*state, y, kernel, one, one, one, one),
        (*STATE, *SETTINGS),
        ("go_on", *(f"new_{name}" for name in (*STATE, *ROWS))),
        inside | unnamed,
    )
    finish = None
    if problem.name == "valid":
        finish = trace(
            Finish(network, algorithm, problem),
            (x, kernel),
            ("x", "kernel"),
            ("image",),
            {"x": inside["x"], "kernel": unnamed["kernel"]},
        )
    # The traced parts share one list of inputs, used or not. The model keeps only the inputs that are used.
    numbers = ["sigma", *([] if algorithm == "pgd" else ["lambda_reg"]), "stepsize", "tol"]
    inputs = [value for value in own.graph.input if value.name == "y" or isinstance(problem, Deblurring)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in numbers]
    image_shape = ["batch", *image_sizes]
    inputs += [
        helper.make_tensor_value_info("max_iter", TensorProto.INT64, []),
        helper.make_tensor_value_info("x0", TensorProto.FLOAT, image_shape),
    ]
    outputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, image_shape),
        helper.make_tensor_value_info("residuals", TensorProto.DOUBLE, ["batch", "steps_taken"]),
        helper.make_tensor_value_info("objective", TensorProto.DOUBLE, ["batch", "steps_taken_and_start"]),
        helper.make_tensor_value_info("steps", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("status", TensorProto.INT64, ["batch"]),
    ]
    # An input with a constant of its name is optional. No image at all stands for the start of the file's own.
    none = [length if isinstance(length, int) else 0 for length in image_shape]
    constants = {"x0": helper.make_tensor("x0", TensorProto.FLOAT, none, [])}
    nodes = [
        helper.make_node("Size", ["x0"], ["x0/size"], name="x0/size"),
        helper.make_node("Cast", ["x0/size"], ["x0/given"], name="x0/given", to=TensorProto.BOOL),
        if_node("x0/given", given, own, "start", constants),
        *_nodes(start, body, finish, constants),
    ]
    return build_model(nodes, inputs, outputs, constants, start.ir_version)


def _nodes(
    start: ModelProto, body: ModelProto, finish: ModelProto | None, constants: dict[str, TensorProto]
) -> list[NodeProto]:
    """Return the nodes of the parts: start, a ``Loop`` around the body, and finish if there is one."""
    first = {name: f"first_{name}" for name in STATE}
    nodes = inline_part(start, "start", first | {"objective": "first_objective"}, constants)
    constants["axis_0"] = helper.make_tensor("axis_0", TensorProto.INT64, [1], [0])
    constants["one_row_each"] = helper.make_tensor("one_row_each", TensorProto.INT64, [1], [-1])
    results = ["last_x" if finish else "x", "last_gradient", "status", "steps"]
    results += [f"{name}_rows" for name in ROWS]
    nodes += [
        loop_node(body, first, results, constants),
        *_history("residual_rows", "residuals", None),
        *_history("objective_rows", "objective", "first_objective"),
    ]
    if finish:
        nodes += inline_part(finish, "finish", {"x": "last_x", "image": "x"}, constants)
    return nodes


def _history(rows: str, name: str, first: str | None) -> list[NodeProto]:
    """Return nodes that turn rows, one per step, into ``(B, K)``, or ``(B, K + 1)`` with a value before the first step.

    ``rows`` is empty when no step was taken, and ONNX Runtime then does not know the length of a row. The number of
    images is therefore taken from the first state.
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
