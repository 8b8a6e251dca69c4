"""Traced parts, put together in one ONNX graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from gradprox.export.graph.tracing import OPSET, graphs


def place(
    part: ModelProto, prefix: str, names: Mapping[str, str], weights: dict[str, TensorProto]
) -> list[NodeProto]:
    """Return the nodes of a part, its values renamed, its constants moved to ``weights``, the same ones once.

    Args:
        part: the part.
        prefix: of every value that has no other name.
        names: new names of inputs and outputs; those not mentioned keep theirs.
        weights: constants by name, added to.
    """
    if len(list(graphs(part.graph))) > 1:
        raise ValueError("a part with graphs inside its nodes cannot be renamed")
    renamed = {value.name: value.name for value in (*part.graph.input, *part.graph.output)}
    renamed |= {name: new for name, new in names.items() if name in renamed}
    for tensor in part.graph.initializer:
        content = TensorProto()
        content.CopyFrom(tensor)
        content.ClearField("name")
        key = "w_" + hashlib.sha256(content.SerializeToString(deterministic=True)).hexdigest()[:16]
        content.name = key
        weights.setdefault(key, content)
        renamed[tensor.name] = key
    nodes = []
    for node in part.graph.node:
        placed = NodeProto()
        placed.CopyFrom(node)
        for values in (placed.input, placed.output):
            for position, value in enumerate(values):
                if value:
                    values[position] = renamed.get(value, f"{prefix}/{value}")
        placed.name = f"{prefix}/{node.name}"
        nodes.append(placed)
    return nodes


def loop(
    body: ModelProto, first: Mapping[str, str], results: Sequence[str], weights: dict[str, TensorProto]
) -> NodeProto:
    """Return a ``Loop`` of at most ``max_iter`` steps that goes on while a step returns a true ``go_on``.

    Args:
        body: one step. For each part ``NAME`` of the state it has an input of that name and an output ``new_NAME``,
            in this order before all others but ``go_on``, which is the first output; further outputs are kept, a row
            each step; further inputs stay the same.
        first: names of the values the state has before the loop, by its parts.
        results: names for the last state, then for the rows of all steps.
        weights: constants by name, added to.
    """
    names = {name: f"now_{name}" for name in first}
    before, after = (
        [
            helper.make_tensor_value_info(
                names.get(v.name, v.name), kind.elem_type, [None] * len(kind.shape.dim)
            )
            for v in values
            for kind in [v.type.tensor_type]
        ]
        for values in (body.graph.input[: len(first)], body.graph.output)
    )
    counters = [
        helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
        helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
    ]
    graph = helper.make_graph(place(body, "step", names, weights), "one_step", [*counters, *before], after)
    weights["begin"] = helper.make_tensor("begin", TensorProto.BOOL, [], [True])
    return helper.make_node(
        "Loop", ["max_iter", "begin", *first.values()], list(results), name="loop", body=graph
    )


def assemble(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Mapping[str, TensorProto],
    ir_version: int,
) -> ModelProto:
    """Return the model of nodes and constants; ``ir_version`` is that of its parts."""
    graph = helper.make_graph(nodes, "gradprox", inputs, outputs, list(weights.values()))
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=ir_version,
        producer_name="gradprox",
    )
