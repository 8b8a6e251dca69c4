"""Presets around an explicit energy as ONNX files: the same steps, shortened by the same line search, as in torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, NodeProto, numpy_helper

from gradprox.export import VerificationError, export_solver, verify
from gradprox.export.graph.tracing import graphs
from gradprox.export.runtime import OnnxSolver
from gradprox.physics import BlockSensing, HadamardSensing, gaussian_kernel, gaussian_matrix
from gradprox.priors import GradientStepDenoiser
from gradprox.solvers import deblur_images, preset
from tests.export.reports import report_in, verified_again
from tests.export.small_networks import small_deep
from tests.export.tampering import tampered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
KERNEL = gaussian_kernel(0.6)
BLOCKS = BlockSensing(gaussian_matrix(12, 0, 6), (20, 15))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("valid", id="valid", marks=pytest.mark.slow),  # README exports gray-deep so
        pytest.param("circular", id="circular"),
        pytest.param(HadamardSensing((8, 8), 24), id="hadamard"),
        pytest.param(BLOCKS, id="block", marks=pytest.mark.slow),
    ],
)
def case(request: pytest.FixtureRequest) -> str | HadamardSensing | BlockSensing:
    return request.param


def is_rough(case: str | HadamardSensing | BlockSensing) -> bool:
    """Return whether a case takes an energy on which full steps overshoot; a continuation has no line search."""
    return not isinstance(case, str)


@pytest.fixture(scope="module")
def deep(case: str | HadamardSensing | BlockSensing) -> GradientStepDenoiser:
    return small_deep(2.0 if is_rough(case) else 0.8)


@pytest.fixture(scope="module")
def exported_deep_preset(
    case: str | HadamardSensing | BlockSensing,
    deep: GradientStepDenoiser,
    deep_deblurring: Callable[[str], Path],
    shared_file: Callable[[str, Callable[[Path], object]], Path],
) -> Path:
    if isinstance(case, str):
        return deep_deblurring(case)
    name = f"deep-{type(case).__name__}.onnx"
    return shared_file(name, lambda path: export_solver(case, None, deep, path))


def test_it_is_what_the_command_line_runs(
    exported_deep_preset: Path,
    case: str | HadamardSensing | BlockSensing,
    deep: GradientStepDenoiser,
) -> None:
    report = report_in(exported_deep_preset)
    assert report["error"] <= 1e-5
    assert report["rare_steps"] > 0
    solver, double = OnnxSolver(exported_deep_preset, threads=1), copy.deepcopy(deep).double()
    assert solver.algorithm == "hqs"
    shape = (24, 19) if isinstance(case, str) else case.size
    images = np.kron(np.random.default_rng(0).random((3, 1, 6, 5)), np.ones((4, 4)))[
        ..., : shape[0], : shape[1]
    ]
    images = (images * np.array([1, 0.6, 0.1])[:, None, None, None]).astype(np.float32)
    shortened = []
    # Little noise, with a warm start; and so much that there is none.
    much = 0.285 if isinstance(case, str) else 0.05
    for noise, settings in ((much / 15, {}), (much, {"strength": 4.0, "max_iter": 20, "tol": 2e-3})):
        noise = float(np.float32(noise))
        chosen = preset("deblur" if isinstance(case, str) else "cs", noise, **settings)

        def watch(step: object) -> None:
            shortened.append(float(step.state.step_fraction.min()))

        if isinstance(case, str):
            y = images
            x, result = deblur_images(
                torch.from_numpy(y).double(),
                KERNEL.double(),
                double,
                chosen,
                boundary=case,
                callback=watch,
            )
            restored = solver(y, KERNEL[0, 0].numpy(), noise=noise, **settings)
        else:
            y = case.A(torch.from_numpy(images)).numpy()
            result = chosen(
                torch.from_numpy(y).double(), copy.deepcopy(case).double(), double, callback=watch
            )
            x, restored = result.x, solver(y, noise=noise, **settings)
        assert np.abs(restored.x - x.numpy()).max() <= 1e-5
        # In compressed sensing, rounding may move the step at which a solver of the warm start ends.
        gap = np.abs(restored.steps - result.steps.numpy()).max()
        assert gap <= (0 if isinstance(case, str) else 2)
        assert restored.status == [status.value for status in result.status]
        rounding = 5e-6 * np.square(y).sum() / 2
        if gap == 0:
            expected = result.objective.numpy()
            np.testing.assert_allclose(restored.objective, expected, rtol=0, atol=rounding, equal_nan=True)
        assert np.nanmax(np.diff(restored.objective, axis=1)) <= rounding
    # Smooth energies need no shorter steps; there the verification compared some, ``rare_steps``.
    assert (min(shortened) < 1) == is_rough(case)


def test_a_file_verifies_by_itself(exported_deep_preset: Path) -> None:
    assert verified_again(exported_deep_preset) == report_in(exported_deep_preset)


def accept_every_step(model: ModelProto) -> None:
    """Let the search take its first trial, whatever its objective."""
    (node,) = producers(model, "last/trial/still_open")
    given = ["last/trial/open_before"] * 2
    node.CopyFrom(onnx.helper.make_node("Xor", given, ["last/trial/still_open"], name=node.name))


def search_once(model: ModelProto) -> None:
    """Let the search give up after its first trial."""
    (trials,) = (tensor for tensor in model.graph.initializer if tensor.name == "trials")
    trials.CopyFrom(numpy_helper.from_array(np.array(1), trials.name))


def ignore_the_length(model: ModelProto) -> None:
    """Judge convergence after shortened steps as after full ones."""
    (node,) = (
        node
        for graph in graphs(model.graph)
        for node in graph.node
        if node.op_type == "Mul"
        and node.name.startswith("last/hqs_record")
        and "last/new_fraction" in node.input
    )
    node.input[list(node.input).index("last/new_fraction")] = "last/first_fraction"


def producers(model: ModelProto, output: str) -> list[NodeProto]:
    return [node for graph in graphs(model.graph) for node in graph.node if output in node.output]


@pytest.mark.parametrize("change", [accept_every_step, search_once, ignore_the_length])
def test_a_broken_line_search_is_found(exported_deep_preset: Path, change: object, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"steps, not|the statuses|differs"):
        verify(tampered(exported_deep_preset, tmp_path / "broken.onnx", change))
