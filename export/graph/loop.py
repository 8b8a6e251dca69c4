"""An ONNX ``Loop`` around a traced step, and one model made of several traced parts.

`inline_part` renames the values of a part, so that parts can share one graph. `loop_node` makes a part the body of a
``Loop``, `loop_around` makes several parts one, and `if_node` and `if_around` make an ``If``. `build_model`
makes the result a model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from gradprox.export.graph.tracing import OPSET, graphs


def inline_part(
    part: ModelProto, prefix: str, names: Mapping[str, str], constants: dict[str, TensorProto]
) -> list[NodeProto]:
    """Return the nodes of a part for use in a larger graph: values renamed, constants shared.

    Args:
        part: the part.
        prefix: prefix of every name that is neither an input nor an output of the part.
        names: new names of inputs and outputs; the others keep their names.
        constants: constants of the larger graph by name. The part's constants are added; equal ones are stored once.
    """
    if len(list(graphs(part.graph))) > 1:
        raise ValueError("a part with graphs inside its nodes cannot be renamed")
    renamed = {value.name: value.name for value in (*part.graph.input, *part.graph.output)}
    renamed |= {name: new for name, new in names.items() if name in renamed}
    results = {value.name: renamed[value.name] for value in part.graph.output}
    nodes = []
    for tensor in part.graph.initializer:
        unnamed = TensorProto()
        unnamed.CopyFrom(tensor)
        unnamed.ClearField("name")
        key = "w_" + hashlib.sha256(unnamed.SerializeToString(deterministic=True)).hexdigest()[:16]
        unnamed.name = key
        constants.setdefault(key, unnamed)
        renamed[tensor.name] = key
        if tensor.name in results:  # the same for all inputs
            result = results[tensor.name]
            nodes.append(helper.make_node("Identity", [key], [result], name=f"{prefix}/{tensor.name}"))
    for node in part.graph.node:
        inlined = NodeProto()
        inlined.CopyFrom(node)
        for values in (inlined.input, inlined.output):
            for position, value in enumerate(values):
                if value:
                    values[position] = renamed.get(value, f"{prefix}/{value}")
        inlined.name = f"{prefix}/{node.name}"
        nodes.append(inlined)
    return nodes


def loop_node(
    body: ModelProto, first: Mapping[str, str], results: Sequence[str], constants: dict[str, TensorProto]
) -> NodeProto:
    """Return a ``Loop`` of at most ``max_iter`` steps that ends early when a step returns ``go_on = False``.

    Args:
        body: one step. Its first output is ``go_on``. Each variable ``NAME`` of the state is an input of that name
            and an output ``new_NAME``; these come first and in the same order. Every further output is recorded, one
            row per step. Every further input is a value of the surrounding graph, the same in all steps.
        first: for each variable of the state, the name of its value before the loop.
        results: names of the last state, then of the recorded rows.
        constants: constants of the surrounding graph by name; those of the step are added.
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
    step = inline_part(body, "step", names, constants)
    graph = helper.make_graph(step, "one_step", [*counters, *before], after)
    constants["begin"] = helper.make_tensor("begin", TensorProto.BOOL, [], [True])
    return helper.make_node(
        "Loop", ["max_iter", "begin", *first.values()], list(results), name="loop", body=graph
    )


# Returns nodes that compute values of these names.
Branch = Callable[[tuple[str, ...]], Sequence[NodeProto]]


class Carried(NamedTuple):
    """A value that a loop hands from each step to the next.

    Attributes:
        first: its name before the loop.
        now: its name inside, before a step.
        new: its name inside, after a step.
        last: its name after the loop.
        kind: its type, a constant of `onnx.TensorProto`.
    """

    first: str
    now: str
    new: str
    last: str
    kind: int


def loop_around(
    nodes: Sequence[NodeProto],
    name: str,
    *,
    steps: str,
    begin: str,
    go_on: str,
    carried: Sequence[Carried],
    rows: Mapping[str, str] | None = None,
    kinds: Mapping[str, int] | None = None,
) -> NodeProto:
    """Return a ``Loop`` around nodes that may hold loops themselves.

    Args:
        nodes: one step. ``NAME/number`` is the number of the step in it, from 0.
        name: the name of the loop.
        steps: name of the largest number of steps.
        begin: name of the bool that says whether to take a first step.
        go_on: name of the bool inside that says whether to take a further step.
        carried: the values that steps hand on.
        rows: names of values inside that are recorded, by the names of their records after the loop.
        kinds: the types of recorded values, by the same names, where they are not double.
    """

    def value(text: str, kind: int, shape: list[int] | None = None) -> ValueInfoProto:
        return helper.make_tensor_value_info(text, kind, shape)

    rows, kinds = rows or {}, kinds or {}
    graph = helper.make_graph(
        list(nodes),
        name,
        [
            value(f"{name}/number", TensorProto.INT64, []),
            value(f"{name}/condition", TensorProto.BOOL, []),
            *(value(c.now, c.kind) for c in carried),
        ],
        [
            value(go_on, TensorProto.BOOL, []),
            *(value(c.new, c.kind) for c in carried),
            *(value(inside, kinds.get(name, TensorProto.DOUBLE)) for name, inside in rows.items()),
        ],
    )
    results = [*(c.last for c in carried), *rows]
    return helper.make_node(
        "Loop", [steps, begin, *(c.first for c in carried)], results, name=name, body=graph
    )


def if_around(
    condition: str,
    name: str,
    results: Mapping[str, int],
    branches: tuple[Branch, Branch],
) -> NodeProto:
    """Return an ``If`` around nodes that may hold loops themselves; only the chosen ones are computed.

    Args:
        condition: name of a bool of the surrounding graph.
        name: the name of this node.
        results: names of its results, with their types.
        branches: return the nodes for true and for false. They are called with the names of their own results, in the
            same order.
    """
    graphs_of_branches = {}
    for key, branch in zip(("then", "else"), branches, strict=True):
        own = {f"{key}/{result}": kind for result, kind in results.items()}
        values = [helper.make_tensor_value_info(text, kind, None) for text, kind in own.items()]
        nodes = branch(tuple(own))
        graphs_of_branches[f"{key}_branch"] = helper.make_graph(nodes, f"{name}/{key}", [], values)
    return helper.make_node("If", [condition], list(results), name=f"{name}/if", **graphs_of_branches)


def split(nodes: Sequence[NodeProto], changing: Collection[str]) -> tuple[list[NodeProto], list[NodeProto]]:
    """Split the nodes of a step into those that give the same in every step, and the rest.

    The first can be placed before the loop.

    Args:
        nodes: nodes without graphs inside them.
        changing: names of the values that change from step to step.
    """
    before: list[NodeProto] = []
    inside: list[NodeProto] = []
    found = set(changing)
    for node in nodes:
        changes = bool(found.intersection(node.input))
        (inside if changes else before).append(node)
        if changes:
            found.update(node.output)
    return before, inside


def if_node(
    condition: str, then: ModelProto, otherwise: ModelProto, result: str, constants: dict[str, TensorProto]
) -> NodeProto:
    """Return an ``If`` of two traced parts, of which only the chosen one is computed.

    Args:
        condition: name of a bool of the surrounding graph.
        then: the part for true. Its inputs are values of the surrounding graph, and it has one output.
        otherwise: the part for false.
        result: name of the output of the chosen part.
        constants: constants of the surrounding graph by name; those of the parts are added.
    """
    branches = {}
    for name, part in (("then_branch", then), ("else_branch", otherwise)):
        (output,) = part.graph.output
        kind, renamed = output.type.tensor_type, f"{name}/{output.name}"
        nodes = inline_part(part, name, {output.name: renamed}, constants)
        value = helper.make_tensor_value_info(renamed, kind.elem_type, [None] * len(kind.shape.dim))
        branches[name] = helper.make_graph(nodes, name, [], [value])
    return helper.make_node("If", [condition], [result], name="if", **branches)


def build_model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Mapping[str, TensorProto],
    ir_version: int,
) -> ModelProto:
    """Return a model of these nodes and constants; ``ir_version`` is that of the parts."""
    graph = helper.make_graph(nodes, "gradprox", inputs, outputs, list(constants.values()))
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=ir_version,
        producer_name="gradprox",
    )
