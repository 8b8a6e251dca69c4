"""An exported graph in double precision, which ONNX Runtime does not compute convolutions in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_conv import Conv as ReferenceConv
from torch.nn import functional as F

from gradprox.export.graph.tracing import float64_copy


class Conv(ReferenceConv):
    """Convolutions of images by torch: onnx's own take twenty times as long with the filters of `gray`."""

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


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    """Return a copy that torch takes: mirrored filters are views with negative strides here, which it refuses."""
    return torch.from_numpy(values.copy())


def evaluator(model: ModelProto) -> ReferenceEvaluator:
    """Return what runs a graph in double precision: onnx's reference implementation, with faster convolutions."""
    return ReferenceEvaluator(float64_copy(model), new_ops=[Conv])
