"""From a torch module to a small, reproducible ONNX model."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import onnx
import torch
from onnx import GraphProto, ModelProto, numpy_helper
from torch import Tensor, nn

# Operator sets from 17 on run everywhere; from 20 on the exporter writes a DFT that ONNX Runtime cannot run.
OPSET = 19


def trace(
    module: nn.Module,
    arguments: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[str],
    open_sizes: Mapping[str, Mapping[int, Any]],
) -> ModelProto:
    """Export a module to ONNX.

    Args:
        module: the module.
        arguments: example inputs, tensors or nested tuples of tensors. Dimensions with an open size must be at least 2
            in them.
        inputs: names of the inputs, in the order of the parameters of ``module.forward``, nested in the same way.
        outputs: names of the outputs.
        open_sizes: for each input, the dimensions that may have any size, with their names.
    """
    with torch.no_grad(), _no_garbage_collection():
        program = torch.onnx.export(
            module.eval(),
            # Copies: the tracer takes one tensor that is passed twice for a single input.
            nested(Tensor.clone, tuple(arguments)),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=flattened(tuple(inputs)),
            output_names=list(outputs),
            dynamic_shapes=nested(lambda name: dict(open_sizes.get(name, {})), tuple(inputs)),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    model = program.model_proto
    strip(model)
    _multiply_squares(model.graph)
    return model


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave garbage in memory: searching the objects of a tracer for it takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Piece(NamedTuple):
    """A module to be traced together with others.

    Attributes:
        module: the module.
        inputs: names of its inputs, in the order of the parameters of ``forward``; a tuple for a tuple of tensors.
        outputs: names of its outputs.
    """

    module: nn.Module
    inputs: Sequence[str | tuple[str, ...]]
    outputs: Sequence[str]


class Example(NamedTuple):
    """An example of an input to trace with.

    Attributes:
        value: the example. Dimensions with an open size must be at least 2 in it.
        open_sizes: the dimensions that may have any size.
    """

    value: Tensor
    open_sizes: Mapping[int, Any]


class _Together(nn.Module):
    """Modules side by side.

    Args:
        pieces: the modules.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self.modules_of_pieces = nn.ModuleList(piece.module for piece in pieces)

    def forward(self, arguments: tuple[tuple[Tensor | tuple[Tensor, ...], ...], ...]) -> tuple[Tensor, ...]:
        """Return the outputs of all modules, called with one tuple of arguments each."""
        outputs: list[Tensor] = []
        for module, values in zip(self.modules_of_pieces, arguments, strict=True):
            found = module(*values)
            outputs += [found] if isinstance(found, Tensor) else list(found)
        return tuple(outputs)


def trace_together(pieces: Mapping[str, Piece], examples: Mapping[str, Example]) -> dict[str, ModelProto]:
    """Export several modules at once, which takes less time than one by one.

    Args:
        pieces: the modules by name.
        examples: the inputs by name.

    Returns:
        For each module a model of its own.
    """
    # Each module has inputs of its own. A shared input would let one module take a size from an input of another.
    names = tuple(
        tuple(nested(f"{key}/{{}}".format, name) for name in piece.inputs) for key, piece in pieces.items()
    )
    flat = {name: examples[name.partition("/")[2]] for name in flattened(names)}
    whole = trace(
        _Together(list(pieces.values())),
        [nested(lambda name: flat[name].value, names)],
        [names],
        [f"{key}/{name}" for key, piece in pieces.items() for name in piece.outputs],
        {name: example.open_sizes for name, example in flat.items()},
    )
    return {
        key: pruned(
            whole,
            {f"{key}/{name}": name for name in piece.outputs},
            {f"{key}/{name}": name for name in flattened(tuple(piece.inputs))},
        )
        for key, piece in pieces.items()
    }


def nested(function: Callable[[Any], Any], values: Any) -> Any:
    """Apply a function to each entry of nested tuples."""
    return (
        tuple(nested(function, value) for value in values) if isinstance(values, tuple) else function(values)
    )


def flattened(names: Any) -> list[str]:
    """Return the entries of nested tuples."""
    return [part for name in names for part in flattened(name)] if isinstance(names, tuple) else [names]


def pruned(
    model: ModelProto, outputs: Mapping[str, str], inputs: Mapping[str, str] | None = None
) -> ModelProto:
    """Return the part of a model that computes some of its outputs.

    Args:
        model: a model without graphs inside its nodes.
        outputs: the new names of these outputs, by their old ones.
        inputs: the new names of the inputs that it needs, by their old ones; all as they are if not given.

    Raises:
        ValueError: it needs other inputs too.
    """
    part = ModelProto()
    part.CopyFrom(model)
    needed, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if needed & {*node.output}:
            needed |= {*node.input}
            nodes.append(node)
    kept = [value for value in model.graph.input if inputs is None or value.name in inputs]
    if missing := needed & ({value.name for value in model.graph.input} - {value.name for value in kept}):
        raise ValueError(f"it needs the inputs {', '.join(sorted(missing))} too")
    renamed = {**outputs, **({} if inputs is None else inputs)}
    # The exporter names values after operations, for example "mean", so they may have the new name of an input.
    inside = {name for node in nodes for name in node.output} - renamed.keys()
    renamed |= {name: f"{name}/inside" for name in inside & {*renamed.values()}}
    for field, content in (
        ("node", nodes[::-1]),
        ("initializer", [tensor for tensor in model.graph.initializer if tensor.name in needed]),
        ("input", kept),
        ("output", [value for value in model.graph.output if value.name in outputs]),
    ):
        part.graph.ClearField(field)
        getattr(part.graph, field).extend(content)
    for node in part.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = renamed.get(name, name)
    # An output may be a constant.
    for value in (*part.graph.input, *part.graph.output, *part.graph.initializer):
        value.name = renamed.get(value.name, value.name)
    return part


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
