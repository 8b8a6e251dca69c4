"""Evaluation of an exported graph in float64, in which ONNX Runtime has no convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_conv import Conv as ReferenceConv
from onnx.reference.ops.op_conv_transpose import ConvTranspose as ReferenceConvTranspose
from torch.nn import functional as F

from gradprox.export.graph.tracing import graphs

NARROW = (TensorProto.FLOAT, TensorProto.FLOAT16)


class Conv(ReferenceConv):
    """Convolutions of images by torch: those of onnx take twenty times as long with the filters of `gray`."""

    op_domain = ""

    def _run(
        self,
        X: NDArray[Any],
        W: NDArray[Any],
        B: NDArray[Any] | None = None,
        auto_pad: str | None = None,
        dilations: list[int] | None = None,
        group: int | None = None,
        kernel_shape: list[int] | None = None,
        pads: list[int] | None = None,
        strides: list[int] | None = None,
    ) -> tuple[NDArray[Any]]:
        if X.ndim != 4 or auto_pad not in (None, "NOTSET") or any(pads or ()):
            reference: Callable[..., tuple[NDArray[Any]]] = super()._run  # onnx has no annotations here
            return reference(X, W, B, auto_pad, dilations, group, kernel_shape, pads, strides)
        bias = None if B is None else _tensor(B)
        x = F.conv2d(_tensor(X), _tensor(W), bias, strides or 1, 0, dilations or 1, group or 1)
        return (x.numpy(),)


class ConvTranspose(ReferenceConvTranspose):
    """Transposed convolutions of images by torch; those of onnx loop over pixels in Python."""

    op_domain = ""

    def _run(
        self,
        X: NDArray[Any],
        W: NDArray[Any],
        B: NDArray[Any] | None = None,
        auto_pad: str | None = None,
        dilations: list[int] | None = None,
        group: int | None = None,
        kernel_shape: list[int] | None = None,
        output_padding: list[int] | None = None,
        output_shape: list[int] | None = None,
        pads: list[int] | None = None,
        strides: list[int] | None = None,
    ) -> tuple[NDArray[Any]]:
        before, after = (pads or [0] * 4)[:2], (pads or [0] * 4)[2:]
        if X.ndim != 4 or auto_pad not in (None, "NOTSET") or output_shape or before != after:
            reference: Callable[..., tuple[NDArray[Any]]] = super()._run  # onnx has no annotations here
            return reference(
                *(
                    X,
                    W,
                    B,
                    auto_pad,
                    dilations,
                    group,
                    kernel_shape,
                    output_padding,
                    output_shape,
                    pads,
                    strides,
                )
            )
        bias = None if B is None else _tensor(B)
        x = F.conv_transpose2d(
            *(
                _tensor(X),
                _tensor(W),
                bias,
                strides or 1,
                before,
                output_padding or 0,
                group or 1,
                dilations or 1,
            )
        )
        return (x.numpy(),)


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    """Return a copy. Mirrored filters are views with negative strides here, which torch refuses."""
    return torch.from_numpy(values.copy())


def evaluator(model: ModelProto) -> ReferenceEvaluator:
    """Return an evaluator of the graph in float64: onnx's reference implementation, with faster convolutions."""
    return ReferenceEvaluator(float64_copy(model), new_ops=[Conv, ConvTranspose])


def float64_copy(model: ModelProto) -> ModelProto:
    """Return the same graph in float64, with the values that its weights have now."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for graph in graphs(copy.graph):
        for tensor in graph.initializer:
            _widen(tensor)
        for node in graph.node:
            if node.op_type == "ConstantOfShape" and not node.attribute:  # zeros in single precision
                zero = helper.make_tensor("value", TensorProto.DOUBLE, [1], [0.0])
                node.attribute.append(helper.make_attribute("value", zero))
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _widen(attribute.t)
                elif _is_cast(node, attribute.name) and attribute.i in NARROW:
                    attribute.i = TensorProto.DOUBLE
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in NARROW:
                value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return copy


def _is_cast(node: NodeProto, attribute: str) -> bool:
    return node.op_type == "Cast" and attribute == "to"


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in NARROW:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float64"), tensor.name))
