"""Half precision is a rounded copy, and 8-bit integers are no proximal operator; files state it, and are checked."""

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
from gradprox.export.checks.jacobian import jacobian_figures, neighbors
from gradprox.export.checks.low_precision import STEP
from gradprox.export.runtime import OnnxDenoiser, container
from gradprox.priors import LearnedProx
from tests.export.small_networks import MIXTURE, perturbed
from tests.export.tampering import say, tampered
from tests.export.test_commands import run

LEVEL = 50 / 255


@pytest.fixture(scope="module")
def half_report(prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DenoiserReport]:
    path = tmp_path_factory.mktemp("low") / "float16.onnx"
    return path, export_denoiser(prior, path, precision="float16")


@pytest.fixture(scope="module")
def int8_report(prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DenoiserReport]:
    path = tmp_path_factory.mktemp("low") / "int8.onnx"
    return path, export_denoiser(prior, path, precision="int8")


@pytest.fixture
def half(half_report: tuple[Path, DenoiserReport]) -> Path:
    return half_report[0]


@pytest.fixture
def quantized(int8_report: tuple[Path, DenoiserReport]) -> Path:
    return int8_report[0]


@pytest.mark.parametrize("low", ["half_report", "int8_report"])
def test_a_file_verifies_by_itself_and_stores_its_report(request: pytest.FixtureRequest, low: str) -> None:
    path, report = request.getfixturevalue(low)
    assert verify(path) == report
    _, metadata = container.read(path)
    assert json.loads(metadata["report"]) == json.loads(report.to_json())
    assert metadata["precision"] == report.precision == path.stem
    assert json.loads(metadata["certified"]) == report.certified == (path.stem == "float16")
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


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_log_likelihoods_of_mixtures_stay_in_single_precision(tmp_path: Path, precision: str) -> None:
    mixture, path = perturbed(MIXTURE), tmp_path / "mixture.onnx"
    export_denoiser(mixture, path, precision=precision)
    graph = onnx.load(path).graph
    for kind in ("Exp", "Log", "Softmax", "ReduceMax"):
        assert [node for node in graph.node if node.op_type == kind]
    bright = 10 if precision == "float16" else 1
    y = bright * np.random.default_rng(0).random((1, 1, 30, 31), dtype=np.float32)
    for sigma in (0.0, 0.1):
        exact = mixture(torch.from_numpy(y), sigma).numpy()
        allowed = 2e-3 if precision == "float16" else 0.05
        found = OnnxDenoiser(path, allow_uncertified=True)(y, sigma)
        assert 0 < np.abs(found - exact).max() <= allowed * bright


def test_half_precision_is_certified_before_rounding(half_report: tuple[Path, DenoiserReport]) -> None:
    _, report = half_report
    assert report.certified
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


def test_a_quantized_copy_is_asymmetric(
    int8_report: tuple[Path, DenoiserReport], denoiser_file: Path
) -> None:
    path, report = int8_report
    assert not report.certified
    assert report.symmetry_defect is report.smallest_eigenvalue is None
    y = 0.5 + LEVEL / 4 * np.random.default_rng(1).standard_normal((1, 4, 5))
    denoisers = [OnnxDenoiser(file, allow_uncertified=True) for file in (path, denoiser_file)]
    images = neighbors(y, STEP).astype(np.float32)
    integers, floats = (jacobian_figures(denoise(images, LEVEL), STEP) for denoise in denoisers)
    # Far more than the rounding of single precision; and negative eigenvalues.
    assert floats[0] <= 1e-6 / STEP
    for defect, smallest in (
        integers,
        (report.low_precision.symmetry_defect, report.low_precision.smallest_eigenvalue),
    ):
        assert defect > 1e-5 / STEP
        assert smallest < -1e-2
    assert floats[1] > 0


def test_certification_catches_a_quantized_copy(quantized: Path, denoiser_file: Path, tmp_path: Path) -> None:
    claims = {"certified": "true", "certificate": container.read(denoiser_file)[1]["certificate"]}
    liar = tampered(quantized, tmp_path / "liar.onnx", say(**claims))
    with pytest.raises(VerificationError, match="says certified: True; true is False"):
        verify(liar)
    for precision in ("float32", "float16"):
        liar = tampered(quantized, tmp_path / "liar.onnx", say(precision=precision, **claims))
        with pytest.raises(VerificationError, match="differs from the network"):
            verify(liar)


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


def test_what_is_not_certified_is_refused(
    quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="allow_uncertified=True"):
        OnnxDenoiser(quantized)
    assert not OnnxDenoiser(quantized, allow_uncertified=True).certified
    with pytest.raises(InputError, match="not certified to be a proximal operator, and no prior"):
        gradprox.load_model(quantized)
    np.save(tmp_path / "y.npy", np.zeros((8, 8), np.float32))
    given = ["denoise", tmp_path / "y.npy", "--noise", "0.1", "--model", quantized, "-o", tmp_path / "x.npy"]
    for more in ([], ["--provider", "cpu"]):
        assert run(monkeypatch, *given, *more) == 1
        error = capsys.readouterr().err
        assert "not certified" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "x.npy").exists()


def test_commands_say_it(
    quantized: Path, half: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", quantized) == 0
    said = capsys.readouterr()
    assert "verified, but UNCERTIFIED" in said.out
    assert "UNCERTIFIED" in said.err
    assert run(monkeypatch, "verify", half) == 0
    said = capsys.readouterr()
    assert "UNCERTIFIED" not in said.out + said.err
    assert "a rounded copy" in said.out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "float8"}, "unknown; choose one of float32, float16, int8"),
        ({"precision": "int8", "potential": True}, "the potential needs float32"),
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
