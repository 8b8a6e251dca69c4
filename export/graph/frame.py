"""The part that all exported solvers share: inputs and outputs, the first images, and the records of their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from torch import Tensor, nn
from torch.export import Dim

from gradprox.export.graph.blur import GraphBlur
from gradprox.export.graph.loop import build_model, if_node, inline_part
from gradprox.export.graph.problem import Deblurring, Problem
from gradprox.export.graph.tracing import Example, Piece
from gradprox.export.runtime.solver import CLIPPING

# Outputs of a solver: their types, and their sizes after that of the batch.
RECORDS = {
    "residuals": (TensorProto.DOUBLE, ["steps_taken"]),
    "objective": (TensorProto.DOUBLE, ["steps_taken_and_start"]),
    "steps": (TensorProto.INT64, []),
    "status": (TensorProto.INT64, []),
}


class OwnStart(nn.Module):
    """The first images where the caller gives none.

    Args:
        problem: the kind of measurement that the solver inverts.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem

    def forward(self, y: Tensor, kernel: Tensor) -> Tensor:
        """Return the start that the solvers of torch compute from the measurements."""
        # A copy: a graph may not return one of its inputs.
        return self.problem.operator(kernel).initial(y).clone()


class GivenStart(OwnStart):
    """The first images where the caller gives them in the frame of the result."""

    def forward(self, x0: Tensor, kernel: Tensor) -> Tensor:
        """Return ``x0``, extended to the size of the unknown image."""
        return self.problem.extended(x0, kernel).clone()


class Finish(OwnStart):
    """The part after the loop."""

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return the image in the frame of the photo."""
        return GraphBlur(kernel, self.problem.name).visible(x)


class Frame:
    """The inputs and outputs of a solver, with examples of its values to trace with.

    Args:
        problem: the inverse problem that the solver is exported for.
        channels: channels of the network.
        clips: whether there is an input `CLIPPING`.

    Attributes:
        y: example measurements.
        kernel: an example kernel.
        x: example images of the unknown's size.
        constants: the constants of the graph, by name.
        open: the dimensions that may vary, of each of these examples and of a number per image, ``"batch"``. Those of
            values inside the graph follow from those of the inputs, and the exporter accepts no second name for them.
    """

    def __init__(self, problem: Problem, channels: int, *, clips: bool = False) -> None:
        self.problem = problem
        self._has_kernel = isinstance(problem, Deblurring)
        self._is_larger = problem.name == "valid"  # the unknown image, than the photo
        self.kernel = torch.full((1, 1, 4, 5), 0.05)
        self.y, y_sizes = problem.example()
        if channels != 1:
            # A color network takes three channels, as in the example, so the number of channels is not dynamic.
            y_sizes.pop(1)
        self.image_shape: list[str | int] = [
            "batch",
            y_sizes.get(1, channels),
            *problem.image_sizes(),
        ]
        self.x = problem.operator(self.kernel).initial(self.y)
        # An input with a constant of its name is optional. No image at all stands for the start of the file's own.
        none = [length if isinstance(length, int) else 0 for length in self.image_shape]
        self.constants = {"x0": helper.make_tensor("x0", TensorProto.FLOAT, none, [])}
        self._optional = [helper.make_tensor_value_info("x0", TensorProto.FLOAT, self.image_shape)]
        if clips:
            self.constants[CLIPPING] = helper.make_tensor(CLIPPING, TensorProto.BOOL, [], [False])
            self._optional.append(helper.make_tensor_value_info(CLIPPING, TensorProto.BOOL, []))

        image = range(4 if self._has_kernel else 2)
        self.open: dict[str, dict[int, Any]] = {
            "y": dict.fromkeys(y_sizes, Dim.AUTO),
            "kernel": dict.fromkeys((2, 3) if self._has_kernel else (), Dim.AUTO),
            "x": dict.fromkeys(image, Dim.AUTO),
            "batch": {0: Dim.AUTO},
        }
        self._y_shape: list[str | int] = [y_sizes.get(d, length) for d, length in enumerate(self.y.shape)]

    def pieces(self) -> dict[str, Piece]:
        """Return the modules of this part, to be traced with those of a solver."""
        found = {
            "given_start": Piece(GivenStart(self.problem), ("x0", "kernel"), ("start",)),
            "own_start": Piece(OwnStart(self.problem), ("y", "kernel"), ("start",)),
        }
        if self._is_larger:
            found["finish"] = Piece(Finish(self.problem), ("x", "kernel"), ("x_visible",))
        return found

    def examples(self) -> dict[str, Example]:
        """Return the inputs of these modules."""
        return {
            "x0": Example(self.y if self._has_kernel else self.x, self.open["x"]),
            "y": Example(self.y, self.open["y"]),
            "x": Example(self.x, self.open["x"]),
            "kernel": Example(self.kernel, self.open["kernel"]),
        }

    def start_nodes(self, traced: Mapping[str, ModelProto]) -> list[NodeProto]:
        """Return the nodes that compute ``start``, the first images, of the unknown's size."""
        given, own = traced["given_start"], traced["own_start"]
        return [
            helper.make_node("Size", ["x0"], ["x0/size"], name="x0/size"),
            helper.make_node("Cast", ["x0/size"], ["x0/given"], name="x0/given", to=TensorProto.BOOL),
            if_node("x0/given", given, own, "start", self.constants),
        ]

    def finish_nodes(self, traced: Mapping[str, ModelProto], last: str) -> list[NodeProto]:
        """Return the nodes that compute ``x``, the images in the frame of the photo, from the images ``last``."""
        if not self._is_larger:
            return [helper.make_node("Identity", [last], ["x"], name="x")]
        return inline_part(traced["finish"], "finish", {"x": last, "x_visible": "x"}, self.constants)

    def true(self, name: str) -> str:
        """Return the name of a constant that is true."""
        self.constants[name] = helper.make_tensor(name, TensorProto.BOOL, [], [True])
        return name

    def model(self, nodes: Sequence[NodeProto], numbers: Sequence[str], ir_version: int) -> ModelProto:
        """Return the model of these nodes.

        Args:
            nodes: the nodes; those of `start_nodes` and `finish_nodes` are among them.
            numbers: names of the inputs of shape ``(1,)``.
            ir_version: that of the traced parts.
        """
        kernel_shape: list[str | int] = [1, 1, "kernel_height", "kernel_width"]
        inputs = [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, self._y_shape),
            *(
                [helper.make_tensor_value_info("kernel", TensorProto.FLOAT, kernel_shape)]
                if self._has_kernel
                else []
            ),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in numbers),
            helper.make_tensor_value_info("max_iter", TensorProto.INT64, []),
            *self._optional,
        ]
        outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.image_shape)]
        outputs += [
            helper.make_tensor_value_info(name, kind, ["batch", *sizes])
            for name, (kind, sizes) in RECORDS.items()
        ]
        return build_model(nodes, inputs, outputs, self.constants, ir_version)

    def history_nodes(self, objective_rows: str, residual_rows: str, first_objective: str) -> list[NodeProto]:
        """Return the nodes that compute ``objective`` and ``residuals`` from one row per step.

        Args:
            objective_rows: name of the objectives after each step.
            residual_rows: name of the relative changes.
            first_objective: name of the objective before the first step, ``(B,)``.
        """
        self.constants["axis_0"] = helper.make_tensor("axis_0", TensorProto.INT64, [1], [0])
        self.constants["one_row_each"] = helper.make_tensor("one_row_each", TensorProto.INT64, [1], [-1])
        return [
            helper.make_node("Shape", [first_objective], ["batch_size"], name="batch_size"),
            *_history(residual_rows, "residuals", None),
            *_history(objective_rows, "objective", first_objective),
        ]


def _history(rows: str, name: str, first: str | None) -> list[NodeProto]:
    """Return nodes that turn rows, one per step, into ``(B, K)``, or ``(B, K + 1)`` with a value before the first step.

    ``rows`` is empty when no step was taken, and ONNX Runtime then does not know the length of a row. The number of
    images is therefore taken from the first objective.
    """
    table = f"{name}/table"
    nodes = [
        helper.make_node(
            "Concat", ["one_row_each", "batch_size"], [f"{name}/shape"], axis=0, name=f"{name}/shape"
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
