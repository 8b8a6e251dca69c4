"""Verification accepts what was exported, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto, numpy_helper

from gradprox.errors import InputError
from gradprox.export import Report, VerificationError, verify
from gradprox.export.checks import denoiser_check
from tests.export.tampering import followed_by, tampered


def change_a_filter(model: ModelProto) -> None:
    """Change one tap of the analysis and not of the synthesis, so that the Jacobian is no longer symmetric."""
    for tensor in model.graph.initializer:
        if tensor.name.endswith("bank.folded"):
            filters = numpy_helper.to_array(tensor).copy()
            filters[0, 0, 0, 0] += 0.01
            tensor.CopyFrom(numpy_helper.from_array(filters, tensor.name))
            return
    raise AssertionError("no filters in the graph")


def test_a_file_verifies_by_itself(exported: tuple[Path, Report], with_potential: Path) -> None:
    path, report = exported
    assert verify(path) == report
    assert report.error <= 2e-6
    assert report.symmetry_defect <= 1e-6
    assert report.smallest_eigenvalue >= -1e-6
    assert report.potential_error is report.potential_gradient_error is None
    assert "Jacobian, symmetry defect" in str(report)
    assert verify(with_potential).potential_gradient_error <= 1e-6


def test_changed_weights_are_found(denoiser_file: Path, tmp_path: Path) -> None:
    path = tampered(denoiser_file, tmp_path / "changed.onnx", change_a_filter)
    with pytest.raises(VerificationError, match="differs from the network"):
        verify(path)


def test_an_asymmetric_jacobian_is_found(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(denoiser_check.PARITY_TOLERANCE, "float32", 1.0)
    path = tampered(denoiser_file, tmp_path / "changed.onnx", change_a_filter)
    with pytest.raises(VerificationError, match="not symmetric"):
        verify(path)


def test_a_decreasing_map_is_found(
    denoiser_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(denoiser_check.PARITY_TOLERANCE, "float32", 10.0)
    path = tampered(denoiser_file, tmp_path / "changed.onnx", followed_by("Neg", "x"))
    with pytest.raises(VerificationError, match="not monotone"):
        verify(path)


def test_a_wrong_potential_is_found(
    with_potential: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tampered(with_potential, tmp_path / "changed.onnx", followed_by("Neg", "potential"))
    with pytest.raises(VerificationError, match="potential differs"):
        verify(path)
    monkeypatch.setitem(denoiser_check.PARITY_TOLERANCE, "float32", 10.0)
    with pytest.raises(VerificationError, match="not the gradient of its potential"):
        verify(path)


def test_nan_does_not_pass(denoiser_file: Path, tmp_path: Path) -> None:
    path = tampered(denoiser_file, tmp_path / "changed.onnx", followed_by("Log", "x"))
    with pytest.raises(VerificationError, match="differs from the network by nan"):
        verify(path)


def test_other_weights_in_the_metadata_are_found(denoiser_file: Path, tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == "gradprox.weights":
                entry.value = "AAAA" + entry.value[4:]

    with pytest.raises(InputError, match="checksum"):
        verify(tampered(denoiser_file, tmp_path / "changed.onnx", change))
