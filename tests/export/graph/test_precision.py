"""Half precision is a rounded copy; files state it, and are checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto

import gradprox
from gradprox.errors import InputError
from gradprox.export import VerificationError, export_denoiser, verify
from gradprox.export.checks import denoiser_check
from gradprox.export.checks.denoiser_check import DenoiserReport
from gradprox.export.runtime import OnnxDenoiser, container
from gradprox.priors import LearnedProx
from tests.export.small_networks import MIXTURE, perturbed
from tests.export.tampering import say, tampered
from tests.export.test_commands import run


@pytest.fixture(scope="module")
def half_report(prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DenoiserReport]:
    path = tmp_path_factory.mktemp("low") / "float16.onnx"
    return path, export_denoiser(prior, path, precision="float16")


@pytest.fixture
def half(half_report: tuple[Path, DenoiserReport]) -> Path:
    return half_report[0]


def test_a_file_verifies_by_itself_and_stores_its_report(half_report: tuple[Path, DenoiserReport]) -> None:
    path, report = half_report
    assert verify(path) == report
    _, metadata = container.read(path)
    assert json.loads(metadata["report"]) == json.loads(report.to_json())
    assert metadata["precision"] == report.precision == "float16"
    assert report.low_precision.psnr > 40
    assert report.low_precision.network_symmetry_defect < 1e-9
    graph = onnx.load(path).graph
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_the_nodes_in_half_precision(denoiser_file: Path, half: Path) -> None:
    # The filters are rounded. Energies, which can be large, and the gates computed from them are not.
    kinds = {t.name: t.data_type for t in onnx.load(half).graph.initializer}
    assert kinds["network.bank.folded/half"] == TensorProto.FLOAT16
    assert "network.bank.folded" not in kinds
    halves = [n for n in onnx.load(half).graph.node if any(name.endswith("/half") for name in n.input)]
    kinds = [node.op_type for node in halves if node.op_type != "Cast"]
    assert kinds.count("Conv") == 4  # the filters; on the way back windows, mixing, filters
    assert not {"MatMul", "Div", "Clip", "Exp", "Softmax", "Gather"} & {*kinds}
    # Hardly any noise, and ten times the brightness: energies of 1e12, and no overflow.
    y = 10 * np.random.default_rng(0).random((1, 1, 30, 31), dtype=np.float32)
    exact = OnnxDenoiser(denoiser_file)(y, 0.0)
    assert 0 < np.abs(OnnxDenoiser(half)(y, 0.0) - exact).max() <= 2e-3 * 10


def test_log_likelihoods_of_mixtures_stay_in_single_precision(tmp_path: Path) -> None:
    mixture, path = perturbed(MIXTURE), tmp_path / "mixture.onnx"
    export_denoiser(mixture, path, precision="float16")
    graph = onnx.load(path).graph
    for kind in ("Exp", "Log", "Softmax", "ReduceMax"):
        assert [node for node in graph.node if node.op_type == kind]
    y = 10 * np.random.default_rng(0).random((1, 1, 30, 31), dtype=np.float32)
    for sigma in (0.0, 0.1):
        exact = mixture(torch.from_numpy(y), sigma).numpy()
        assert 0 < np.abs(OnnxDenoiser(path)(y, sigma) - exact).max() <= 2e-3 * 10


def test_half_precision_is_certified_before_rounding(half_report: tuple[Path, DenoiserReport]) -> None:
    _, report = half_report
    assert report.symmetry_defect <= 1e-6
    assert report.smallest_eigenvalue >= -1e-6
    # Rounding is visible.
    assert report.error > 2e-6
    assert report.low_precision.symmetry_defect > 1e-4
    assert "a rounded copy of the network" in str(report)


def test_tiles_in_half_precision_equal_the_whole(half: Path) -> None:
    y = np.random.default_rng(0).random((1, 1, 57, 83), dtype=np.float32)
    whole = OnnxDenoiser(half, tile=None)(y, 0.1)
    np.testing.assert_array_equal(OnnxDenoiser(half, tile=16)(y, 0.1), whole)


def test_certificates_catch_quantized_weights(prior: LearnedProx) -> None:
    # As a GPU library would do it: analysis and synthesis each round the same filters in their own way.
    network = type(prior.network)(prior.network.config).double().requires_grad_(False)
    network.load_state_dict(prior.network.state_dict())
    exact = gradprox.certificates.certify(network, torch.full((1, 1, 5, 6), 0.5).double(), 0.1)
    analyze = network.bank.analyze
    network.bank.analyze = lambda x, filters: analyze(x, torch.round(filters * 127) / 127)
    rounded = gradprox.certificates.certify(network, torch.full((1, 1, 5, 6), 0.5).double(), 0.1)
    assert exact.passed
    assert not rounded.passed


def test_a_tampered_half_is_found(half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(model: ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == "network.bank.folded/half":
                filters = onnx.numpy_helper.to_array(tensor).copy()
                filters[0, 0, 0, 0] += np.float16(0.01)
                tensor.CopyFrom(onnx.numpy_helper.from_array(filters, tensor.name))

    path = tampered(half, tmp_path / "changed.onnx", change)
    with pytest.raises(VerificationError, match="differs from the network"):
        verify(path)
    monkeypatch.setitem(denoiser_check.PARITY_TOLERANCE, "float16", 1.0)
    with pytest.raises(VerificationError, match="not symmetric"):
        verify(path)


def test_commands_say_it(
    half: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", half) == 0
    assert "a rounded copy" in capsys.readouterr().out


def test_other_precisions_are_refused(half: Path, tmp_path: Path) -> None:
    path = tampered(half, tmp_path / "int8.onnx", say(precision="int8"))
    with pytest.raises(
        InputError, match="its precision is int8: export the model again, in float32 or float16"
    ):
        OnnxDenoiser(path)
    with pytest.raises(VerificationError, match="its precision is 'int8'"):
        verify(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "float8"}, "unknown; choose one of float32, float16$"),
        ({"precision": "float16", "potential": True}, "the potential needs float32"),
    ],
)
def test_illegal_settings(
    prior: LearnedProx, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        export_denoiser(prior, tmp_path / "x.onnx", **settings)


def test_the_command_exports_in_half_precision(
    prior: LearnedProx, half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradprox.priors.save_network(prior.network, tmp_path / "small.safetensors")
    out = tmp_path / "half.onnx"
    arguments = ("export", tmp_path / "small.safetensors", out, "--precision", "float16")
    assert run(monkeypatch, *arguments, "--solver", "pgd") == 1
    assert run(monkeypatch, *arguments) == 0
    assert out.read_bytes() == half.read_bytes()
