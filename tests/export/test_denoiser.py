"""The exported file: what is in it, what is not, and that it is the same file every time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

import gradprox
from gradprox.errors import InputError
from gradprox.export import Report, export_denoiser
from gradprox.export.runtime import OnnxDenoiser, container
from gradprox.networks import IdentityPathConfig, RidgeConfig
from gradprox.priors import LearnedProx
from tests.export.small_networks import MIXTURE, SMALL, perturbed


def dims(value: onnx.ValueInfoProto) -> list[str | int]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_inputs_outputs_and_opset(with_potential: Path) -> None:
    model = onnx.load(with_potential)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 19)]
    described = {v.name: dims(v) for v in (*model.graph.input, *model.graph.output)}
    assert described["y"] == described["x"] == ["batch", 1, "height", "width"]
    assert described["sigma"] == [1]
    assert described["potential"] == ["batch"]
    assert model.graph.output[1].type.tensor_type.elem_type == TensorProto.DOUBLE


def test_a_color_network_takes_three_channels(color_file: Path, color_prior: LearnedProx) -> None:
    assert dims(onnx.load(color_file).graph.input[0]) == ["batch", 3, "height", "width"]
    y = np.random.default_rng(0).random((2, 3, 40, 51), dtype=np.float32)
    expected = color_prior(torch.from_numpy(y), 0.1).numpy()
    denoise = OnnxDenoiser(color_file, tile=16)
    np.testing.assert_allclose(denoise(y, 0.1), expected, atol=2e-6)
    np.testing.assert_array_equal(denoise(y, 0.1), OnnxDenoiser(color_file, tile=None)(y, 0.1))
    with pytest.raises(InputError, match="3 channels, got 1"):
        denoise(y[:, :1], 0.1)


def test_one_file_without_a_trace_of_where_it_was_made(denoiser_file: Path) -> None:
    assert [p.name for p in denoiser_file.parent.iterdir()] == [denoiser_file.name]
    content = denoiser_file.read_bytes()
    for word in (b".py", b"site-packages", str(Path(gradprox.__file__).parent).encode(), b"stack_trace"):
        assert word not in content
    assert not any(node.metadata_props or node.doc_string for node in onnx.load(denoiser_file).graph.node)


def test_metadata_is_complete(exported: tuple[Path, Report], prior: LearnedProx) -> None:
    path, report = exported
    _, metadata = container.read(path)
    assert metadata["version"] == gradprox.__version__
    assert IdentityPathConfig.model_validate_json(metadata["network"]) == SMALL
    assert json.loads(metadata["halo"]) == prior.network.radius
    assert json.loads(metadata["noise_range"]) == [1 / 255, 50 / 255]
    assert json.loads(metadata["certificate"])["lipschitz_bound"] == prior.lipschitz_bound()
    assert json.loads(metadata["report"]) == json.loads(report.to_json())
    assert {
        "weights",
        "weights_sha256",
        "cell",
        "size_multiple",
        "value_range",
        "opset",
        "channels",
    } <= metadata.keys()


def test_plain_onnxruntime_runs_it(denoiser_file: Path, prior: LearnedProx) -> None:
    session = onnxruntime.InferenceSession(denoiser_file)
    y = np.random.default_rng(0).random((2, 1, 9, 11), dtype=np.float32)
    (x,) = session.run(None, {"y": y, "sigma": np.array([0.1], np.float32)})
    np.testing.assert_allclose(x, prior(torch.from_numpy(y), 0.1).numpy(), atol=2e-6)


def test_exporting_leaves_the_model_alone(prior: LearnedProx, exported: tuple[Path, Report]) -> None:
    fresh = perturbed(SMALL).network.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in prior.network.state_dict().items())


def test_the_ridge_form_and_a_double_model(tmp_path: Path) -> None:
    ridge = perturbed(SMALL.model_copy(update={"shrinkage": RidgeConfig()}))
    report = export_denoiser(LearnedProx(ridge.network.double(), "ridge"), tmp_path / "ridge.onnx")
    assert report.error <= 2e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mixture_with_its_potential(tmp_path: Path, channels: int) -> None:
    mixture = perturbed(MIXTURE.model_copy(update={"channels": channels}))
    # Probabilities far below rounding: the exporter must keep the small constant that is added to them.
    for level in mixture.network.shrinkage.levels:
        level.probability_logits *= 15
    report = export_denoiser(mixture, tmp_path / "mixture.onnx", potential=True)
    assert report.error <= 2e-6
    assert report.potential_error is not None
    assert report.potential_error <= 2e-6


def test_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is unknown"):
        export_denoiser("no-such-model", tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
