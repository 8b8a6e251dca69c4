"""A denoiser's graph in lower precision: which part of it bears that, and that part in ``float16`` or ``int8``.

What is rounded is the work between the first convolution and the last subtraction: the filters, the coefficients and
the gains, all at most about 1. Three parts stay in single precision:

* The image itself, which the result is a small correction of.
* Energies in units of the noise, and all that turns them into gates or probabilities: they reach
  ``(|z| / (1e-4 / 8))^2 = 6e9``, and half precision ends at 65504.
* What follows from the noise level alone, a few numbers.

The converters that ONNX Runtime ships round every input of a graph before anything else looks at it, the image too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from gradprox.export.graph.tracing import strip

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
PRECISIONS = ("float32", "float16", "int8")
# Precisions in which a network keeps its certificate, but for rounding.
CERTIFIED = ("float32", "float16")


def lowered(model: ModelProto, precision: str) -> ModelProto:
    """Return a denoiser, traced in single precision, in one of `PRECISIONS`; inputs and outputs stay as they are."""
    if precision == "float16":
        return in_half_precision(model, tolerant(model.graph))
    if precision == "int8":
        return quantized(model, tolerant(model.graph))
    return model


def tolerant(graph: GraphProto) -> set[str]:
    """Return the names of the nodes that bear low precision."""
    from_y = _after(graph, ["y"])
    (first, *_) = (node for node in graph.node if node.op_type == "Conv" and node.name in from_y)
    coefficients = _after(graph, first.output) | {first.name}
    energies = _after(graph, ["sigma"]) & _before(graph, _gates(graph, coefficients))
    last = {node.name for node in graph.node if {"x"} & {*node.output}}
    return coefficients - energies - last


def _gates(graph: GraphProto, coefficients: set[str]) -> list[str]:
    """Return values that are at most 1, from which gains follow: of gates, or probabilities of hypotheses.

    Gates are clipped at both ends. Probabilities are what the last convolution works on whose weights follow from the
    noise level.
    """
    clips = [node for node in graph.node if node.op_type == "Clip" and node.name in coefficients]
    clipped = [node for node in clips if len(node.input) == 3 and all(node.input)]
    if clipped:
        return [value for node in clipped for value in node.output]
    known = _after(graph, ["sigma"])
    weights = {value for node in graph.node if node.name in known for value in node.output}
    mixing = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in weights]
    return [mixing[-1].input[0]]


def _after(graph: GraphProto, values: Iterable[str]) -> set[str]:
    """Return the names of the nodes that work on something computed from ``values``, other than its shape."""
    reached, names = {*values}, set()
    for node in graph.node:
        if node.op_type != "Shape" and reached & {*node.input}:
            reached |= {*node.output}
            names.add(node.name)
    return names


def _before(graph: GraphProto, values: Iterable[str]) -> set[str]:
    """Return the names of the nodes that ``values`` are computed from."""
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
    there: set[str] = set()  # what exists in half precision
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


def quantized(model: ModelProto, chosen: set[str]) -> ModelProto:
    """Return a model whose ``chosen`` convolutions and matrix products multiply integers of 8 bits.

    The ranges of what they multiply are measured in each call. Ranges fixed beforehand, from example images, lose
    much more: at other noise levels than those of the examples, values are cut off.
    """
    heavy = [n.name for n in model.graph.node if n.name in chosen and n.op_type in ("Conv", "MatMul")]
    copy = ModelProto()
    copy.CopyFrom(model)
    add_pre_process_metadata(copy)  # there is nothing to prepare: or it would warn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        # Convolutions with signed weights are unknown to ONNX Runtime before 1.24.
        quantize_dynamic(copy, path, nodes_to_quantize=heavy, weight_type=QuantType.QUInt8)
        found = onnx.load(path)
    strip(found)
    return found
