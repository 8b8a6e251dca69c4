"""Graphs in double precision have the values of onnx's reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gradprox.export.checks.double_precision import evaluator

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"dilations": [3, 2], "group": 2},
        {"strides": [2, 3]},
        {"pads": [1, 0, 2, 1]},
        {"auto_pad": "SAME_UPPER"},
    ],
)
def test_convolutions_are_those_of_the_reference(attributes):
    filters = RNG.standard_normal((4, 4 // attributes.get("group", 1), 3, 2)).astype(np.float32)
    bias = RNG.standard_normal(4).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Conv", ["y", "filters", "bias"], ["x"], **attributes)],
            "convolution",
            [
                helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, "h", "w"]),
                helper.make_tensor_value_info("filters", TensorProto.FLOAT, filters.shape),
            ],
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, None, None])],
            [numpy_helper.from_array(bias, "bias")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    checker.check_model(model)
    y = RNG.standard_normal((2, 4, 11, 12))

    def given(dtype):
        # Views with negative strides, which a Slice with negative steps returns.
        return {"y": y.astype(dtype)[:, :, ::-1], "filters": filters.astype(dtype)[..., ::-1, ::-1]}

    (found,) = evaluator(model).run(None, given(np.float64))
    assert found.dtype == np.float64
    (expected,) = ReferenceEvaluator(model).run(None, given(np.float32))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "attributes", [{}, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, {"pads": [1, 0, 0, 1]}]
)
def test_transposed_convolutions_are_those_of_the_reference(attributes):
    filters = RNG.standard_normal((4, 3, 3, 2)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("ConvTranspose", ["y", "filters"], ["x"], **attributes)],
            "transposed",
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, "h", "w"])],
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", None, None, None])],
            [numpy_helper.from_array(filters, "filters")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    y = RNG.standard_normal((2, 4, 5, 6))
    (found,) = evaluator(model).run(None, {"y": y})
    assert found.dtype == np.float64
    (expected,) = ReferenceEvaluator(model).run(None, {"y": y.astype(np.float32)})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
