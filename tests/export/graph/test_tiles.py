"""A network in tiles inside a graph is the network: pixels and energies, at every size, and in little memory."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from gradprox.export.graph.loop import build_model, inline_part
from gradprox.export.graph.tiles import tile_examples, tile_nodes, tile_pieces
from gradprox.export.graph.tracing import Example, trace_together
from gradprox.priors import LearnedProx

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
SIDE = 12
# One pixel; one tile; an exact number of tiles; a last tile with positions beyond the image; lines.
SIZES = [(1, 1), (5, 12), (24, 36), (25, 13), (1, 61), (37, 2), (40, 47)]


@pytest.fixture(scope="module")
def tiled(prior: LearnedProx) -> tuple[LearnedProx, onnxruntime.InferenceSession]:
    network, sigma = prior.network, Example(torch.full((1,), 0.1), {})
    traced = trace_together(tile_pieces(network, SIDE), tile_examples(network, SIDE) | {"sigma": sigma})
    constants = {
        "begin": helper.make_tensor("begin", TensorProto.BOOL, [], [True]),
        "tile_axes": helper.make_tensor("tile_axes", TensorProto.INT64, [3], [0, 2, 3]),
    }

    def place(part: str, scope: str, names: dict[str, str]) -> list:
        graph = traced[part].graph
        renamed = {value.name: f"{scope}/{value.name}" for value in (*graph.input, *graph.output)}
        return inline_part(traced[part], f"{scope}/{part}", renamed | names, constants)

    nodes = tile_nodes(place, "net", "y", "sigma", "x", "energy")
    kinds = {"x": TensorProto.FLOAT, "energy": TensorProto.DOUBLE}
    model = build_model(
        nodes,
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "c", "h", "w"]),
            helper.make_tensor_value_info("sigma", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()],
        constants,
        traced["cut"].ir_version,
    )
    return prior, onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_tiles_are_the_whole_pass(
    tiled: tuple[LearnedProx, onnxruntime.InferenceSession], size: tuple[int, int]
) -> None:
    prior, session = tiled
    y = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 3, *size)).astype(np.float32)
    for sigma in (0.02, 0.15):
        x, energy = session.run(["x", "energy"], {"y": y, "sigma": np.array([sigma], np.float32)})
        exact, expected = (
            copy.deepcopy(prior)
            .double()
            .denoise_with_energy(torch.from_numpy(y).double(), float(np.float32(sigma)))
        )
        assert x.shape == y.shape
        assert np.abs(x - exact.numpy()).max() <= 2e-6
        np.testing.assert_allclose(energy, expected.numpy(), rtol=1e-5, atol=1e-7)
