"""``gradprox certify``: what it prints, writes and exits with."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from gradprox.cli.app import app
from gradprox.errors import InputError
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.networks.denoisers.filters import MirrorFilterBank
from gradprox.priors import save_network

CONFIG = IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.safetensors"
    torch.manual_seed(0)
    save_network(IdentityPath(CONFIG), path)
    return path


def test_certifies_a_model_file(model, tmp_path):
    report = tmp_path / "certificate.json"
    command = [
        "certify",
        str(model),
        "--size",
        "8",
        "--points",
        "1",
        "--device",
        "cpu",
        "--json",
        str(report),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "held to be a monotone gradient" in result.output
    figures = json.loads(report.read_text())
    assert figures["name"] == "small"
    assert figures["measured"]["symmetry_defect"] < 1e-10
    assert figures["measured"]["smallest_eigenvalue"] > -1e-10


def test_a_model_that_fails_exits_with_an_error(model, monkeypatch):
    # A build of the library whose synthesis is not the adjoint of its analysis.
    right = MirrorFilterBank.synthesize
    monkeypatch.setattr(
        MirrorFilterBank, "synthesize", lambda bank, z, filters: right(bank, z, filters.flip(-1))
    )
    result = CliRunner().invoke(
        app, ["certify", str(model), "--size", "8", "--points", "1", "--device", "cpu"]
    )
    assert isinstance(result.exception, InputError)
    assert "not symmetric" in str(result.exception)
    assert "FAILED" in result.output


def test_missing_model_is_an_input_error():
    result = CliRunner().invoke(app, ["certify", "nowhere.safetensors"])
    assert isinstance(result.exception, InputError)
