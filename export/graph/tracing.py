"""From a torch module to a small, reproducible ONNX model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import GraphProto, ModelProto, numpy_helper
from torch import Tensor, nn

# Operator sets from 17 on run everywhere; from 20 on the exporter writes a DFT that ONNX Runtime cannot run.
OPSET = 19


def trace(
    module: nn.Module,
    arguments: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    open_sizes: Mapping[str, Mapping[int, str]],
) -> ModelProto:
    """Export a module to ONNX.

    Args:
        module: the module.
        arguments: example inputs. Dimensions with an open size must be at least 2 in them.
        inputs: names of the inputs, in the order of the parameters of ``module.forward``, which have the same names.
        outputs: names of the outputs.
        open_sizes: for each input, the dimensions that may have any size, with their names.
    """
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            # Copies: the tracer takes one tensor that is passed twice for a single input.
            tuple(argument.clone() for argument in arguments),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: dict(open_sizes.get(name, {})) for name in inputs},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    model = program.model_proto
    strip(model)
    _multiply_squares(model.graph)
    return model


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and every graph inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graphs(inner)


def strip(model: ModelProto) -> None:
    """Remove source lines, local paths, and the exporter's guesses at the shapes of intermediate values.

    The first two make up most of a file and differ between machines; ONNX Runtime rejects some of the guesses.
    """
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    for graph in graphs(model.graph):
        graph.ClearField("value_info")
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        graph.name = "gradprox"
        described: list[Any] = [*graph.node, *graph.initializer, *graph.input, *graph.output]
        for item in described:
            item.ClearField("metadata_props")
            item.ClearField("doc_string")


def _multiply_squares(graph: GraphProto) -> None:
    """Replace ``x^2`` by ``x * x``: the same value, four times faster in ONNX Runtime."""
    twos = {t.name for t in graph.initializer if t.dims in ([], [1]) and numpy_helper.to_array(t).item() == 2}
    for node in graph.node:
        if node.op_type == "Pow" and node.input[1] in twos:
            node.CopyFrom(
                onnx.helper.make_node("Mul", [node.input[0]] * 2, list(node.output), name=node.name)
            )
