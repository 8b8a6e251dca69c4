"""``gradprox export`` and ``gradprox verify``, and an ONNX file as the model of everything else."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import gradprox
from gradprox.cli import evaluate, options
from gradprox.cli.app import app, main
from gradprox.errors import InputError
from gradprox.export.runtime.providers import PROVIDERS
from gradprox.priors import LearnedProx, save_network


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
    assert re.search(r"^exported and verified in \d+ seconds$", done.stdout, re.MULTILINE)
    assert "Jacobian, symmetry defect" in done.stdout
    stages = ("building the graph", "comparing with torch", "testing the certificate on the graph")
    assert done.stderr.splitlines() == [f"{out.name}: {stage}" for stage in stages]
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
        (["none", "out.onnx"], "model none is unknown"),
        (["gray", "out.onnx", "--solver", "pgd", "--potential"], "--potential: only for models"),
        (
            ["gray", "out.onnx", "--problem", "deblur", "--precision", "float16"],
            "--precision float16: only for models",
        ),
        (["gray", "out.onnx", "--solver", "admm"], "--solver admm is unknown"),
        (["gray", "out.onnx", "--solver", "pgd", "--problem", "inpaint"], "--problem inpaint is unknown"),
        (["gray", "out.onnx", "--solver", "pgd", "--problem", "cs"], "needs --size"),
        (
            ["gray", "out.onnx", "--solver", "pgd", "--problem", "cs", "--size", "99999x99999"],
            "at most 16777216",
        ),
        (["gray", "out.onnx", "--size", "8x8"], "--size: only for --problem cs"),
        (["gray", "out.onnx", "--boundary", "circular"], "--boundary: only for --problem deblur"),
        (["gray", "out.onnx", "--problem", "deblur", "--ratio", "0.5"], "--ratio: only for --problem cs"),
        (
            ["gray", "out.onnx", "--problem", "cs", "--size", "8x8", "--sampling", "dct"],
            "--sampling dct: cannot be exported; only hadamard and block-gaussian can",
        ),
        (["gray", "out.onnx", "--problem", "cs"], "needs --size"),
        (
            ["gray-deep", "out.onnx", "--problem", "cs", "--size", "8x8", "--solver", "pgd"],
            "PGD needs a proximal operator, but gray-deep has only an explicit energy",
        ),
        (
            ["gray-deep", "out.onnx", "--problem", "deblur", "--solver", "fista"],
            "FISTA needs a proximal operator, but gray-deep has only an explicit energy",
        ),
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
    with pytest.raises(InputError, match=r"its weights|not an ONNX file"):
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
        (("--model", "gray", "--provider", "cpu"), "needs an .onnx model"),
        (("--model", denoiser_file, "--allow-fallback"), "needs a --provider"),
        (("--model", denoiser_file, "--provider", "abacus"), "abacus"),
        (("--model", denoiser_file, "--provider", "cpu", "--noise", "1e39"), "write gray levels as"),
        (("--model", denoiser_file, "--provider", "cpu", "--uncertainty", tmp_path / "u.png"), "derivatives"),
    ):
        assert run(monkeypatch, *given, *more, "-o", tmp_path / "none.npy") == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none.npy").exists()


def test_deblur_runs_an_onnx_file_by_a_provider(
    with_potential: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = np.mgrid[:20, :24].astype(np.float32)
    np.save(tmp_path / "blurred.npy", 0.5 + 0.3 * np.sin(rows / 5) * np.cos(columns / 6))
    given = ("deblur", tmp_path / "blurred.npy", "--kernel", "gaussian:1", "--noise", "0.02", "--steps", "4")
    by_torch, by_runtime = tmp_path / "torch.npy", tmp_path / "runtime.npy"
    assert run(monkeypatch, *given, "--model", with_potential, "-o", by_torch) == 0
    assert run(monkeypatch, *given, "--model", with_potential, "--provider", "cpu", "-o", by_runtime) == 0
    difference = np.abs(np.load(by_runtime) - np.load(by_torch)).max()
    assert 0 < difference <= 2e-5  # so it was not torch


def test_bench_times_every_way_to_run_a_file(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "speed.json"
    assert run(monkeypatch, "bench", denoiser_file, "--size", "16", "--repeats", "1", "--json", report) == 0
    assert "onnxruntime" in capsys.readouterr().out
    runs = json.loads(report.read_text())["runs"]
    assert [(row["backend"], row["threads"]) for row in runs] == [
        ("torch", 1), ("torch", 2), ("onnxruntime", 1), ("onnxruntime", 2),
    ]  # fmt: skip
    assert all(row["ms_per_megapixel"] > 0 for row in runs)


def commands() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the words and the function of each command."""
    for group, prefix in ((app, ""), (evaluate.app, "evaluate ")):
        for command in group.registered_commands:
            yield f"{prefix}{command.callback.__name__}", command.callback


TAKE_A_MODEL = [words for words, function in commands() if "model" in inspect.signature(function).parameters]
# They read what a torch network says of its derivatives, or write it.
IN_TORCH = {"certify", "export"}


def test_one_provider_option_in_every_command_with_a_model() -> None:
    assert {*TAKE_A_MODEL} - IN_TORCH == {
        *("demo", "deblur", "denoise", "recover", "evaluate denoise", "evaluate deblur", "evaluate cs")
    }
    for words, function in commands():
        parameters = inspect.signature(function, eval_str=True).parameters
        has = [parameters[name].annotation for name in ("provider", "allow_fallback") if name in parameters]
        wanted = words in {*TAKE_A_MODEL, "bench"} - IN_TORCH
        assert has == ([options.Provider, options.AllowFallback] if wanted else []), words


@pytest.mark.parametrize("words", [*sorted({*TAKE_A_MODEL} - IN_TORCH), "bench"])
def test_a_missing_provider_is_the_same_error_everywhere(
    words: str,
    with_potential: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if PROVIDERS["directml"] in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has directml")
    np.save(tmp_path / "y.npy", np.zeros((8, 8), np.float32))
    (tmp_path / "y.npz").touch()  # it is not read
    more: dict[str, tuple[str | Path, ...]] = {
        "bench": (with_potential,),
        "deblur": (tmp_path / "y.npy", "--kernel", "disk:1", "-o", tmp_path / "x.npy"),
        "denoise": (tmp_path / "y.npy", "-o", tmp_path / "x.npy"),
        "recover": (tmp_path / "y.npz", "-o", tmp_path / "x.npy"),
        "evaluate deblur": ("--data", tmp_path, "--kernel", "disk:1"),
    }
    arguments = more.get(words, ("--data", tmp_path) if words.startswith("evaluate") else ())
    model = () if words == "bench" else ("--model", with_potential)
    assert run(monkeypatch, *words.split(), *arguments, *model, "--provider", "directml") == 1
    assert capsys.readouterr().err == (
        "error: provider directml: this onnxruntime was built without directml; use cpu, or allow the fallback "
        "to it\n"
    )
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.filterwarnings("default")  # as outside of the tests
def test_a_fallback_that_is_allowed_is_a_warning_of_one_line(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "y.npy", np.zeros((8, 8), np.float32))
    given = ("denoise", tmp_path / "y.npy", "--noise", "0.1", "-o", tmp_path / "x.npy", "--quiet")
    more = ("--model", denoiser_file, "--provider", "directml", "--allow-fallback")
    assert run(monkeypatch, *given, *more) == 0
    error = capsys.readouterr().err
    assert error == "warning: this onnxruntime was built without directml: running on the CPU instead\n"
    assert (tmp_path / "x.npy").exists()
