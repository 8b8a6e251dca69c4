"""``gradprox export`` and ``gradprox verify``, and an ONNX file as the model of everything else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import gradprox
from gradprox.cli.app import main
from gradprox.errors import InputError
from gradprox.operators import LearnedProx, save_network


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["gradprox", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_export_a_model_file(prior: LearnedProx, denoiser_file: Path, tmp_path: Path) -> None:
    save_network(prior.network, tmp_path / "small.safetensors")
    out, report = tmp_path / "out.onnx", tmp_path / "report.json"
    arguments = ["export", tmp_path / "small.safetensors", out, "--json", report]
    done = subprocess.run(
        [sys.executable, "-c", "from gradprox.cli.app import main; main()", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"{out}: verified" in done.stdout
    assert "Jacobian, symmetry defect" in done.stdout
    assert not done.stderr
    assert json.loads(report.read_text())["report"]["error"] <= 2e-6
    # Another process wrote the same bytes.
    assert out.read_bytes() == denoiser_file.read_bytes()


def test_an_existing_file_is_kept(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.onnx").write_bytes(b"precious")
    assert run(monkeypatch, "export", denoiser_file, tmp_path / "out.onnx") == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out.onnx").read_bytes() == b"precious"


def test_verify(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", denoiser_file) == 0
    assert "verified" in capsys.readouterr().out
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(denoiser_file.read_bytes()[:-1000])
    assert run(monkeypatch, "verify", broken) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gray", "out.bin"], "must end in .onnx"),
        (["none", "out.onnx"], "no such model"),
        (["gray", "out.onnx", "--solver", "pgd", "--potential"], "--potential is for models"),
        (["gray", "out.onnx", "--solver", "admm"], "solver admm"),
        (["gray", "out.onnx", "--solver", "pgd", "--problem", "inpaint"], "problem inpaint"),
        (["gray", "out.onnx", "--solver", "pgd", "--problem", "cs"], "needs --size"),
        (["gray", "out.onnx", "--problem", "cs"], "needs --solver"),
        (["gray", "out.onnx", "--solver", "gd", "--problem", "cs", "--size", "8x8", "--ratio", "2"], "ratio"),
    ],
)
def test_one_line_errors(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "export", *arguments) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_onnx_file_is_a_model(denoiser_file: Path, prior: LearnedProx) -> None:
    loaded = gradprox.load_model(denoiser_file)
    y = torch.rand(1, 3, 20, 21, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(y, 0.1), prior(y, 0.1))
    assert torch.equal(loaded.potential(y, 0.1), prior.potential(y, 0.1))


def test_an_onnx_file_that_is_no_model(tmp_path: Path, denoiser_file: Path) -> None:
    with pytest.raises(InputError, match="no such model file"):
        gradprox.load_model(tmp_path / "none.onnx")
    for content in (b"", b"\x08\x0a", denoiser_file.read_bytes()[:5000], b"nonsense" * 50):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(InputError):
            gradprox.load_model(tmp_path / "bad.onnx")
    shutil.copy(denoiser_file, tmp_path / "bad.onnx")
    content = bytearray(denoiser_file.read_bytes())
    content[content.index(b"gradprox.weights\x12") + 3000] ^= 1
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"weights it carries|not an ONNX file"):
        gradprox.load_model(tmp_path / "bad.onnx")


def test_denoise_runs_an_onnx_file_by_a_provider(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "noisy.npy", np.random.default_rng(0).random((20, 24), dtype=np.float32))
    given = ("denoise", tmp_path / "noisy.npy", "--noise", "0.1")
    by_torch, by_runtime = tmp_path / "torch.npy", tmp_path / "runtime.npy"
    assert run(monkeypatch, *given, "--model", denoiser_file, "-o", by_torch) == 0
    assert run(monkeypatch, *given, "--model", denoiser_file, "--provider", "cpu", "-o", by_runtime) == 0
    np.testing.assert_allclose(np.load(by_runtime), np.load(by_torch), atol=2e-6)
    capsys.readouterr()
    for more, message in (
        (("--model", "gray", "--provider", "cpu"), "runs .onnx models"),
        (("--model", denoiser_file, "--provider", "abacus"), "abacus"),
        (("--model", denoiser_file, "--provider", "cpu", "--uncertainty", tmp_path / "u.png"), "derivatives"),
    ):
        assert run(monkeypatch, *given, *more, "-o", tmp_path / "none.npy") == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none.npy").exists()
