"""The preset of compressed sensing as one ONNX file: the images and step counts of the command line's solver."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, NodeProto, helper, numpy_helper

from gradprox.cli.runtime.app import main
from gradprox.errors import InputError
from gradprox.export import VerificationError, export_solver, verify
from gradprox.export.graph.tracing import graphs
from gradprox.export.runtime import OnnxSolver
from gradprox.physics import Sampling, Sensing, gaussian_matrix, write_measurements
from gradprox.priors import LearnedProx
from gradprox.solvers import preset
from tests.export.tampering import tampered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch


HADAMARD = Sensing(Sampling(kind="hadamard", size=(7, 6), measurements=24, noise=0.02))
BLOCK = Sensing(
    Sampling(kind="block-matrix", size=(20, 15), measurements=12, noise=0.02), gaussian_matrix(12, 0, 6)
)


@pytest.mark.parametrize(
    "sensing",
    [pytest.param(HADAMARD, id="hadamard"), pytest.param(BLOCK, id="block", marks=pytest.mark.slow)],
)
def test_it_is_what_the_command_line_runs(
    sensing: Sensing, prior: LearnedProx, tmp_path: Path, recover: Recover
) -> None:
    path, physics = tmp_path / "recover.onnx", sensing.physics()
    report = export_solver(sensing, None, prior, path)
    assert verify(path) == report
    solver, double = OnnxSolver(path, threads=1), copy.deepcopy(prior).double()
    generator = np.random.default_rng(0)
    images = np.kron(generator.random((2, 1, 4, 3)), np.ones((5, 5)))[
        ..., : physics.size[0], : physics.size[1]
    ]
    images *= np.array([1, 0.2])[:, None, None, None]
    y = physics.A(torch.from_numpy(images.astype(np.float32)))
    for noise, settings in ((0.02, {}), (0.05, {"strength": 0.8, "max_iter": 30, "tol": 1e-3})):
        chosen = preset("cs", float(np.float32(noise)), **settings)
        result = chosen(y.double(), copy.deepcopy(physics).double(), double)
        restored = solver(y.numpy(), noise=noise, **settings)
        assert np.abs(restored.x - result.x.numpy()).max() <= 1e-5
        # Restarts near convergence are a matter of rounding.
        assert np.abs(restored.steps - result.steps.numpy()).max() <= 2
        assert restored.status == [status.value for status in result.status]
    write_measurements(tmp_path / "y.npz", y[1:], sensing)
    assert recover(tmp_path / "y.npz", path, tmp_path / "x.npy") == (0, "")
    np.testing.assert_allclose(
        np.load(tmp_path / "x.npy"), solver(y[1:].numpy(), noise=0.02).x[0, 0], atol=1e-6
    )
    for other, message in other_patterns(sensing):
        write_measurements(tmp_path / "y.npz", y[1:], other)
        code, said = recover(tmp_path / "y.npz", path, tmp_path / "other.npy")
        assert code == 1
        assert message in said
        assert said.count("\n") == 1
        assert not (tmp_path / "other.npy").exists()
    x0 = np.zeros((2, 1, *physics.size), np.float32)
    for illegal, message in (
        ({"x0": x0[..., 1:]}, "expected floating-point first images x0"),
        ({"y": y.numpy()[:, :, :-1]}, "expected floating-point measurements"),
        ({"kernel": np.ones((3, 3))}, "expected measurements and no kernel"),
    ):
        with pytest.raises(InputError, match=message):
            solver(**{"y": y.numpy(), "noise": 0.02, **illegal})
    if sensing.matrix is not None:
        check_the_matrix(path, sensing.matrix.numpy(), tmp_path / "changed.onnx")
    # The first level of the warm start is 50/255, and the strength multiplies it.
    for noise, strength in ((0.5, 4.0), (0.01, 6.0)):
        with pytest.raises(InputError, match=f"strength {strength:g} is too large"):
            solver(y.numpy(), noise=noise, strength=strength)
        with pytest.raises(InputError):
            preset("cs", noise, strength=strength)
    names = ["y", "noise", "strength", "tol", "max_iter", "x0"]
    assert [value.name for value in onnx.load(path).graph.input] == names

    def loose(model: ModelProto) -> None:
        """Let the solvers of the warm start end early."""
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == "warm_tol")
        tensor.CopyFrom(numpy_helper.from_array(np.array([0.3], np.float32), tensor.name))

    assert report.rare_steps > 0
    for change in (loose, never_restart, restart_in_vain, keep_the_momentum):
        with pytest.raises(VerificationError):
            verify(tampered(path, tmp_path / "changed.onnx", change))


Recover = Callable[[Path, Path, Path], tuple[int, str]]


@pytest.fixture
def recover(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Recover:
    """Run ``gradprox-runtime recover`` in this process; return the exit code and the errors."""

    def run(measurements: Path, model: Path, output: Path) -> tuple[int, str]:
        words = ["gradprox-runtime", "recover", measurements, "--model", model, "-o", output]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0), capsys.readouterr().err

    return run


def other_patterns(sensing: Sensing) -> list[tuple[Sensing, str]]:
    """Return measurements of the same shape by other patterns, with the message about them."""
    seeded = replace(sensing, sampling=sensing.sampling.model_copy(update={"seed": 3}))
    if sensing.matrix is None:
        return [(seeded, "was measured by 24 hadamard patterns of seed 3 of 7x6 pixels")]
    return [(seeded, "patterns of seed 3"), (replace(sensing, matrix=2 * sensing.matrix), "another matrix")]


def test_measurements_without_a_fitting_file(recover: Recover, denoiser_file: Path, tmp_path: Path) -> None:
    write_measurements(tmp_path / "y.npz", torch.zeros(1, 1, 24), HADAMARD)
    code, said = recover(tmp_path / "y.npz", denoiser_file, tmp_path / "x.png")
    assert code == 1
    assert "contains a denoiser, not a solver" in said


def producer(model: ModelProto, output: str) -> NodeProto:
    (node,) = (node for graph in graphs(model.graph) for node in graph.node if output in node.output)
    return node


def never_restart(model: ModelProto) -> None:
    """Let no step count as a rise of the objective."""
    node = producer(model, "last/worse")
    node.CopyFrom(helper.make_node("Xor", [node.input[0]] * 2, ["last/worse"], name=node.name))


def restart_in_vain(model: ModelProto) -> None:
    """Let a plain step be computed, and the accelerated one be taken."""
    node = producer(model, "last/plain")
    node.output[list(node.output).index("last/plain")] = "last/unused"
    for graph in graphs(model.graph):
        for other in graph.node:
            for place, name in enumerate(other.input):
                other.input[place] = "last/fast" if name == "last/plain" else name


def keep_the_momentum(model: ModelProto) -> None:
    """Let the momentum grow on after a restart."""
    node = producer(model, "last/next_momentum")
    node.CopyFrom(helper.make_node("Sum", ["last/momentum", "one"], ["last/next_momentum"], name=node.name))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1), "one"))


def check_the_matrix(path: Path, matrix: np.ndarray, changed: Path) -> None:
    """Check that a file is told by its matrix, and that the metadata do not repeat it."""
    model = onnx.load(path)
    (name,) = [t.name for t in model.graph.initializer if np.array_equal(numpy_helper.to_array(t), matrix)]
    assert sum(len(entry.value) for entry in model.metadata_props if entry.key == "gradprox.physics") < 500

    def change(model: ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(matrix * np.float32(1.01), name))

    with pytest.raises(InputError, match="lacks the matrix of its measurements"):
        verify(tampered(path, changed, change))
