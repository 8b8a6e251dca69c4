"""A denoiser's graph in half precision: one part of it in ``float16``, the rest in ``float32``.

Filters, coefficients and gains are at most about 1 in size, and bear rounding. These stay in single precision:

* the image, up to the first convolution, and the last operation, which subtracts a small correction from the image;
* all that leads from the noise level to the `float32_boundary` of the network. For the shipped networks that is
  energies in units of the noise and the gates or probabilities that follow from them. Energies reach
  ``(|z| / (1e-4 / 8))^2 = 6e9``, and float16 ends at 65504.

The converters that ONNX Runtime ships round every input of a graph, and with it the image.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def lowered(model: ModelProto) -> ModelProto:
    """Return a denoiser in half precision; its inputs and its output stay in float32.

    Args:
        model: a denoiser in single precision with the outputs ``x`` and ``boundary``, of which the second is dropped.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    chosen = low_precision_nodes(copy.graph, "boundary")
    del copy.graph.output[1:]
    return in_half_precision(copy, chosen)


def low_precision_nodes(graph: GraphProto, boundary: str) -> set[str]:
    """Return the names of the nodes that bear half precision; see this module's text for the rule.

    Args:
        graph: a denoiser with the inputs ``y`` and ``sigma`` and the output ``x``.
        boundary: name of the value that the network's `float32_boundary` passes on.
    """
    from_image = _after(graph, ["y"])
    first = next(node for node in graph.node if node.op_type == "Conv" and node.name in from_image)
    coefficients = _after(graph, first.output) | {first.name}
    single = _after(graph, ["sigma"]) & _before(graph, [boundary])
    last = {node.name for node in graph.node if "x" in node.output}
    return coefficients - single - last


def _after(graph: GraphProto, values: Iterable[str]) -> set[str]:
    """Return the names of the nodes that depend on ``values``, other than through their shapes."""
    reached, names = {*values}, set()
    for node in graph.node:
        if node.op_type != "Shape" and reached & {*node.input}:
            reached |= {*node.output}
            names.add(node.name)
    return names


def _before(graph: GraphProto, values: Iterable[str]) -> set[str]:
    """Return the names of the nodes that ``values`` depend on."""
    reached, names = {*values}, set()
    for node in reversed(graph.node):
        if reached & {*node.output}:
            reached |= {*node.input}
            names.add(node.name)
    return names


def in_half_precision(model: ModelProto, chosen: set[str]) -> ModelProto:
    """Return a model whose ``chosen`` nodes compute in half precision.

    Args:
        model: in single precision.
        chosen: names of nodes.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    weights = {tensor.name: tensor for tensor in copy.graph.initializer if tensor.data_type == FLOAT}
    single = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT} | weights.keys()
    outside = [node for node in copy.graph.node if node.name not in chosen]
    wanted = {name for node in outside for name in node.input} | {output.name for output in copy.graph.output}

    nodes: list[NodeProto] = []
    there: set[str] = set()  # values that exist in half precision
    for node in list(copy.graph.node):
        if node.name not in chosen:
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if name not in single:
                continue
            node.input[place] = half = f"{name}/half"
            if half in there:
                continue
            there.add(half)
            if name in weights:
                rounded = numpy_helper.to_array(weights[name]).astype("float16")
                copy.graph.initializer.append(numpy_helper.from_array(rounded, half))
            else:
                nodes.append(_cast(name, half, HALF))
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name not in single:
                continue
            node.output[place] = half = f"{name}/half"
            there.add(half)
            if name in wanted:
                nodes.append(_cast(half, name, FLOAT))
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in copy.graph.initializer if tensor.name in used]
    for field, content in (("node", nodes), ("initializer", kept)):
        copy.graph.ClearField(field)
        getattr(copy.graph, field).extend(content)
    return copy


def _cast(source: str, target: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=kind)
