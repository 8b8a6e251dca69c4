"""Solvers as one ONNX file: the same images and step counts as in torch, with any kernel and image size."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper

from gradprox.errors import InputError
from gradprox.export import Report, VerificationError, export_solver, verify
from gradprox.export.runtime import OnnxDenoiser, OnnxSolver
from gradprox.physics import BlockSensing, HadamardSensing, gaussian_matrix
from gradprox.priors import LearnedProx
from gradprox.solvers import GD, PGD, preset
from gradprox.solvers.deblurring import deblur_images
from tests.export.tampering import say, tampered

# The two slow ones combine parts that the other two have. Exporting takes a while.
VARIANTS = [
    pytest.param(("pgd", "valid"), id="pgd-valid"),
    pytest.param(("gd", "circular"), id="gd-circular"),
    pytest.param(("pgd", "circular"), id="pgd-circular", marks=pytest.mark.slow),
    pytest.param(("gd", "valid"), id="gd-valid", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=VARIANTS)
def exported_solver(
    request: pytest.FixtureRequest, prior: LearnedProx, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    path = tmp_path_factory.mktemp("solver") / "solver.onnx"
    algorithm, boundary = request.param
    return path, export_solver("deblur", algorithm, prior, path, boundary=boundary)


@pytest.fixture(scope="module")
def solver(exported_solver: tuple[Path, Report]) -> OnnxSolver:
    return OnnxSolver(exported_solver[0], threads=1)


def photo(*shape: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    rough = generator.random((*shape[:2], shape[2] // 5 + 1, shape[3] // 5 + 1))
    smooth = np.kron(rough, np.ones((5, 5)))[..., : shape[2], : shape[3]]
    return (smooth + 0.01 * generator.standard_normal(shape)).astype(np.float32)


def box(height: int, width: int) -> np.ndarray:
    weights = np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)
    return weights / weights.sum()


def in_torch(
    solver: OnnxSolver,
    prior: LearnedProx,
    y: np.ndarray,
    kernel: np.ndarray,
    x0: np.ndarray | None = None,
    **settings: float,
) -> tuple[np.ndarray, object]:
    double = LearnedProx(type(prior.network)(prior.network.config).double())
    double.network.load_state_dict(prior.network.state_dict())
    kind = PGD if solver.algorithm == "pgd" else GD
    x, result = deblur_images(
        torch.from_numpy(y).double(),
        torch.from_numpy(kernel).double()[None, None],
        double,
        kind(**settings),
        boundary=solver.boundary,
        x0=None if x0 is None else torch.from_numpy(x0).double(),
    )
    return x.numpy(), result


def test_fifty_steps_with_default_settings(solver: OnnxSolver, prior: LearnedProx) -> None:
    y, kernel = photo(2, 1, 40, 53), box(6, 5)
    restored = solver(y, kernel, sigma=0.03, max_iter=50, tol=0)
    x, result = in_torch(solver, prior, y, kernel, sigma=float(np.float32(0.03)), max_iter=50, tol=0.0)
    assert np.abs(restored.x - x).max() <= 1e-5
    assert restored.status == ["max_iter"] * 2
    assert restored.residual.shape == (2, 50)
    np.testing.assert_allclose(restored.objective, result.objective.numpy(), rtol=1e-4, equal_nan=True)
    assert np.all(np.diff(restored.objective[:, 1:], axis=1) <= 1e-6 * restored.objective[:, 1:2])


def test_images_stop_one_by_one(solver: OnnxSolver, prior: LearnedProx) -> None:
    y, kernel = photo(3, 1, 30, 25), box(3, 3)
    y[0], y[1] = 0.5, y[1] * 0.3
    restored = solver(y, kernel, sigma=0.05, max_iter=60, tol=2e-3)
    x, result = in_torch(solver, prior, y, kernel, sigma=float(np.float32(0.05)), max_iter=60, tol=2e-3)
    assert restored.steps.tolist() == result.steps.tolist()
    assert len(set(restored.steps.tolist())) > 1
    assert restored.status == [s.value for s in result.status]
    assert np.abs(restored.x - x).max() <= 1e-5
    assert np.isnan(restored.residual[0, restored.steps[0] :]).all()


def test_no_step_returns_the_photo(solver: OnnxSolver) -> None:
    y = photo(2, 3, 20, 21)
    restored = solver(y, box(4, 5), sigma=0.05, max_iter=0)
    np.testing.assert_array_equal(restored.x, y)
    assert restored.residual.shape == (2, 0)
    assert restored.objective.shape == (2, 1)
    assert restored.steps.tolist() == [0, 0]


def test_a_given_start(solver: OnnxSolver, prior: LearnedProx) -> None:
    y, kernel, x0 = photo(2, 1, 30, 26), box(6, 5), np.random.default_rng(1).random((2, 1, 30, 26))
    given = solver(y, kernel, sigma=0.05, x0=x0, max_iter=12, tol=0)
    sigma = float(np.float32(0.05))
    x, result = in_torch(solver, prior, y, kernel, x0, sigma=sigma, max_iter=12, tol=0.0)
    assert np.abs(given.x - x).max() <= 1e-5
    np.testing.assert_allclose(given.objective, result.objective.numpy(), rtol=1e-4, equal_nan=True)
    assert np.abs(given.x - solver(y, kernel, sigma=0.05, max_iter=12, tol=0).x).max() > 1e-2
    np.testing.assert_array_equal(solver(y, kernel, sigma=0.05, x0=x0, max_iter=0).x, x0.astype(np.float32))


def test_the_photo_is_the_start_that_is_not_given(solver: OnnxSolver) -> None:
    y, kernel = photo(1, 1, 20, 21), box(4, 3)
    without, given = (solver(y, kernel, sigma=0.05, max_iter=4, **start) for start in ({}, {"x0": y}))
    np.testing.assert_array_equal(given.x, without.x)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_noise_sets_the_prior_as_in_presets(solver: OnnxSolver, noise: float) -> None:
    y, kernel = photo(1, 1, 20, 21), box(4, 3)
    chosen = preset("deblur", noise, solver=solver.algorithm).solver
    settings = {"sigma": chosen.sigma}
    if solver.algorithm == "gd":
        settings["lambda_reg"] = chosen.lambda_reg
    found, expected = (solver(y, kernel, max_iter=4, **given) for given in ({"noise": noise}, settings))
    # The noise is rounded to single precision before the rule, and sigma after it.
    np.testing.assert_allclose(found.x, expected.x, rtol=0, atol=1e-6)
    if solver.algorithm == "gd":
        other = solver(y, kernel, noise=noise, lambda_reg=3.0, max_iter=4)
        expected = solver(y, kernel, sigma=chosen.sigma, lambda_reg=3.0, max_iter=4)
        np.testing.assert_allclose(other.x, expected.x, rtol=0, atol=1e-6)


def test_a_file_of_an_earlier_version(exported_solver: tuple[Path, Report], tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        (start,) = (value for value in model.graph.input if value.name == "x0")
        model.graph.input.remove(start)  # the empty start stays, as a constant
        say(noise_rule=None)(model)

    path = tampered(exported_solver[0], tmp_path / "old.onnx", change)
    old, new = (OnnxSolver(file, threads=1) for file in (path, exported_solver[0]))
    y, kernel = photo(1, 1, 20, 21), box(4, 3)
    found, expected = (solver(y, kernel, sigma=0.05, max_iter=4).x for solver in (old, new))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="takes no start, as an earlier version made it: export it again"):
        old(y, kernel, sigma=0.05, x0=y)
    with pytest.raises(InputError, match="has no rule for it, as an earlier version made it: give sigma"):
        old(y, kernel, noise=0.05)
    assert verify(path).cases == exported_solver[1].cases - 2


def test_a_file_that_ignores_the_start_is_found(exported_solver: tuple[Path, Report], tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        (choice,) = (node for node in model.graph.node if node.op_type == "If")
        branches = {attribute.name: attribute.g for attribute in choice.attribute}
        branches["then_branch"].CopyFrom(branches["else_branch"])

    path = tampered(exported_solver[0], tmp_path / "changed.onnx", change)
    with pytest.raises(VerificationError):
        verify(path)


def test_a_stronger_prior_smooths(solver: OnnxSolver) -> None:
    y, kernel = photo(1, 1, 30, 30), box(3, 3)

    def roughness(**settings: float) -> float:
        x = solver(y, kernel, max_iter=30, **settings).x
        return float(np.abs(np.diff(x, axis=-1)).mean())

    assert roughness(sigma=0.08) < roughness(sigma=0.005)
    if solver.algorithm == "gd":
        assert roughness(sigma=0.02, lambda_reg=4.0) < roughness(sigma=0.02, lambda_reg=0.25)
    else:
        with pytest.raises(InputError, match="PGD has no weight of the regularizer"):
            roughness(sigma=0.02, lambda_reg=1.0)


def test_a_file_verifies_by_itself(exported_solver: tuple[Path, Report]) -> None:
    path, report = exported_solver
    assert verify(path) == report
    assert report.error <= 1e-5
    assert "step counts" in str(report)


def test_it_is_one_loop(exported_solver: tuple[Path, Report]) -> None:
    model = onnx.load(exported_solver[0])
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    algorithm = OnnxSolver(exported_solver[0]).algorithm
    names = ["y", "kernel", "sigma", *(["lambda_reg"] if algorithm == "gd" else [])]
    assert [i.name for i in model.graph.input] == [*names, "stepsize", "tol", "max_iter", "x0"]
    assert [o.name for o in model.graph.output] == ["x", "residuals", "objective", "steps", "status"]


def test_a_changed_solver_is_found(exported_solver: tuple[Path, Report], tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        for tensor in model.graph.initializer:
            if list(tensor.dims[1:]) == [1, 4, 4]:
                changed = numpy_helper.to_array(tensor) * np.float32(1.01)
                tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))

    path = tampered(exported_solver[0], tmp_path / "changed.onnx", change)
    with pytest.raises(VerificationError):
        verify(path)


def test_kinds_are_not_confused(exported_solver: tuple[Path, Report], denoiser_file: Path) -> None:
    with pytest.raises(InputError, match="contains a solver, not a denoiser"):
        OnnxDenoiser(exported_solver[0])
    with pytest.raises(InputError, match="contains a denoiser, not a solver"):
        OnnxSolver(denoiser_file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": None}, "needs a kernel"),
        ({"kernel": np.ones((3, 3, 3), np.float32)}, "expected a floating-point kernel"),
        ({"kernel": np.zeros((3, 3), np.float32)}, "kernel is zero"),
        ({"kernel": np.full((3, 3), np.nan, np.float32)}, "kernel contains NaN"),
        ({"kernel": np.ones((13, 3), np.float32)}, "larger than the image"),
        ({"y": np.full((1, 1, 12, 12), np.inf, np.float32)}, "y contains NaN"),
        ({"y": np.zeros((12, 12), np.float32)}, "expected floating-point images"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"sigma": 1e-60}, "sigma must be positive, got 0"),
        ({"sigma": "much"}, "sigma must be a number, got 'much'"),
        ({"sigma": [0.1, 0.2]}, "sigma must be one number"),
        ({"max_iter": True}, "max_iter must be a whole number"),
        ({"max_iter": -1}, "max_iter must be a whole number of at least 0"),
        ({"max_iter": 2.5}, "max_iter must be a whole number"),
        ({"max_iter": 10**30}, "max_iter must be a whole number"),
        ({"tol": 1.0}, "tol must be in"),
        ({"stepsize": 2.1}, "step size must be between 0 and"),
        ({"strength": 2.0}, "strength: only for files that hold a preset"),
        ({"stepsize": "x"}, "stepsize must be a number"),
        ({"stepsize": 0.0}, "step size must be between 0 and"),
        ({"stepsize": 1e-60}, "step size must be between 0 and"),
        ({"sigma": True}, "sigma must be a number, got True"),
        ({"sigma": "0.05"}, "sigma must be a number"),
        ({"sigma": 0.05 + 0j}, "sigma must be a number"),
        ({"tol": -1e-3}, "tol must be in"),
        ({"lambda_reg": -1.0}, "lambda_reg"),
        ({"lambda_reg": float("nan")}, "lambda_reg"),
        ({"max_iter": np.float64(5)}, "max_iter must be a whole number"),
        ({"y": np.zeros((1, 1, 12, 12), int)}, "expected floating-point images"),
        ({"y": np.zeros((1, 1, 12, 12), complex)}, "expected floating-point images"),
        ({"y": np.zeros((1, 1, 0, 12), np.float32)}, "expected floating-point images"),
        ({"y": np.zeros((1, 1, 12), np.float32)}, "expected floating-point images"),
        ({"y": [[0.1], [0.2, 0.3]]}, "expected floating-point images"),
        ({"y": np.full((1, 1, 12, 12), 1e300)}, "y contains NaN or infinite"),
        ({"y": np.broadcast_to(np.float32(0.5), (1, 1, 2**24, 2**24))}, "does not fit into memory"),
        ({"noise": 0.05}, "give either sigma"),
        ({"sigma": None}, "give either sigma"),
        ({"sigma": None, "noise": -0.1}, "noise must not be negative, got -0.1"),
        ({"sigma": None, "noise": 25}, "noise 25: .* write gray levels as 25/255"),
        ({"sigma": None, "noise": "x"}, "noise must be a number"),
        (
            {"x0": np.zeros((1, 1, 12, 11), np.float32)},
            r"x0 of shape \(1, 1, 12, 12\), got .* \(1, 1, 12, 11\)",
        ),
        ({"x0": np.zeros((12, 12), np.float32)}, "expected floating-point first images x0"),
        ({"x0": np.zeros((1, 1, 12, 12), int)}, "expected floating-point first images x0"),
        ({"x0": np.full((1, 1, 12, 12), np.nan)}, "x0 contains NaN"),
        ({"kernel": np.ones((3, 3), int)}, "expected a floating-point kernel"),
        ({"kernel": np.ones((1, 2, 3, 3))}, "expected a floating-point kernel"),
        ({"kernel": "gaussian:1.6"}, "expected a floating-point kernel"),
        ({"kernel": np.full((3, 3), 1e30)}, "kernel are too large or too small"),
    ],
)
def test_illegal_calls(solver: OnnxSolver, changes: dict[str, object], message: str) -> None:
    arguments = {"y": photo(1, 1, 12, 12), "kernel": box(3, 3), "sigma": 0.05} | changes
    with pytest.raises(InputError, match=message):
        solver(**arguments)


def test_a_kernel_of_tiny_values(solver: OnnxSolver) -> None:
    y, kernel = photo(1, 1, 12, 12), np.full((3, 3), 1e-30)
    if solver.algorithm == "gd":
        # The step size stays at half its limit for the regularizer alone.
        assert np.isfinite(solver(y, kernel, sigma=0.05, max_iter=2).x).all()
    else:
        with pytest.raises(InputError, match="kernel are too large or too small"):
            solver(y, kernel, sigma=0.05)


def test_images_and_kernels_in_any_layout(solver: OnnxSolver) -> None:
    y, kernel = photo(1, 1, 14, 13), box(3, 4)
    expected = solver(y, kernel, sigma=0.05, max_iter=3)
    for other, taps in (
        (np.asfortranarray(y.astype(np.float64)), kernel[None, None]),
        (y[..., ::-1].copy()[..., ::-1], kernel.astype(np.float64)[:, ::-1].copy()[:, ::-1]),
        (y.tolist(), kernel.tolist()),
    ):
        found = solver(other, taps, sigma=np.array([0.05]), max_iter=np.int32(3), tol=0.0001)
        np.testing.assert_allclose(found.x, expected.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "entries",
    [
        {"algorithm": "adam"},
        {"problem": "inpaint"},
        {"problem": None},
        {"channels": "2"},
        {"certificate": "null"},
        {"certificate": "{}"},
        {"certificate": '{"monotone": true, "lipschitz_bound": "x", "weak_convexity": 0.5}'},
        {"certificate": '{"monotone": true, "lipschitz_bound": 2.0, "weak_convexity": NaN}'},
        {"certificate": '{"monotone": false, "lipschitz_bound": NaN, "weak_convexity": 2.0}'},
        {"problem": "cs", "physics": '{"squared_norm": 0}'},
        {"problem": "cs", "physics": '{"measurement_shape": 5}'},
        {"problem": "cs", "physics": "[]"},
        {"noise_rule": "[]"},
        {"noise_rule": "no JSON"},
        {"noise_rule": '{"factor": 0}'},
        {"noise_rule": '{"factor": "x"}'},
        {"noise_rule": '{"unknown": 1}'},
    ],
)
def test_metadata_that_make_no_sense(
    exported_solver: tuple[Path, Report], tmp_path: Path, entries: dict[str, str | None]
) -> None:
    def change(model: ModelProto) -> None:
        known = {entry.key for entry in model.metadata_props}
        for key in entries.keys() - {key.removeprefix("gradprox.") for key in known}:
            model.metadata_props.add(key=f"gradprox.{key}", value="")
        say(**entries)(model)

    with pytest.raises(InputError) as caught:
        OnnxSolver(tampered(exported_solver[0], tmp_path / "odd.onnx", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "physics",
    [
        pytest.param(HadamardSensing((7, 6), 24), id="hadamard"),
        pytest.param(BlockSensing(gaussian_matrix(12, 0, 6), (20, 15)), id="block"),
    ],
)
def test_compressed_sensing(
    physics: HadamardSensing | BlockSensing, prior: LearnedProx, tmp_path: Path
) -> None:
    path = tmp_path / "sensing.onnx"
    report = export_solver(physics, "pgd", prior, path)
    assert verify(path) == report
    y = physics.A(torch.from_numpy(photo(2, 1, *physics.size)))
    if isinstance(physics, BlockSensing):
        _check_that_the_matrix_is_there_once(path, physics, tmp_path / "changed.onnx")
    solver = OnnxSolver(path, threads=1)
    restored = solver(y.numpy(), sigma=0.03, max_iter=50, tol=1e-3)
    double = LearnedProx(type(prior.network)(prior.network.config).double())
    double.network.load_state_dict(prior.network.state_dict())
    settings = PGD(sigma=float(np.float32(0.03)), max_iter=50, tol=1e-3)
    result = settings(y.double(), copy.deepcopy(physics).double(), double)
    assert np.abs(restored.x - result.x.numpy()).max() <= 1e-5
    assert restored.steps.tolist() == result.steps.tolist()
    x0 = photo(2, 1, *physics.size)[..., ::-1].copy()
    given = solver(y.numpy(), sigma=0.03, x0=x0, max_iter=9, tol=0)
    again = PGD(sigma=float(np.float32(0.03)), max_iter=9, tol=0.0)(
        y.double(), copy.deepcopy(physics).double(), double, x0=torch.from_numpy(x0).double()
    )
    assert np.abs(given.x - again.x.numpy()).max() <= 1e-5
    by_noise, expected = (
        solver(y.numpy(), max_iter=2, **settings)
        for settings in ({"noise": 0.05}, {"sigma": preset("cs", 0.05, solver="pgd").solver.sigma})
    )
    np.testing.assert_allclose(by_noise.x, expected.x, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="expected floating-point first images x0"):
        solver(y.numpy(), sigma=0.03, x0=x0[..., 1:])
    with pytest.raises(InputError, match="expected floating-point measurements"):
        solver(y.numpy()[:, :, :-1], sigma=0.03)
    with pytest.raises(InputError, match="expected measurements"):
        solver(y.numpy(), box(3, 3), sigma=0.03)


def _check_that_the_matrix_is_there_once(path: Path, physics: BlockSensing, changed: Path) -> None:
    model, matrix = onnx.load(path), physics.matrix.numpy()
    (name,) = [t.name for t in model.graph.initializer if np.array_equal(numpy_helper.to_array(t), matrix)]
    # Its pseudo-inverse is not stored beside it. The exporter may store the transpose of a small matrix.
    alike = [numpy_helper.to_array(t) for t in model.graph.initializer if sorted(t.dims) == [12, 36]]
    assert all(np.array_equal(found, matrix) or np.array_equal(found, matrix.T) for found in alike)
    assert sum(len(entry.value) for entry in model.metadata_props if entry.key == "gradprox.physics") < 500

    def change(model: ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(matrix * np.float32(1.01), name))

    with pytest.raises(InputError, match="lacks the matrix of its measurements"):
        verify(tampered(path, changed, change))


@pytest.mark.parametrize(
    "names", [("inpaint", "pgd", "valid"), ("deblur", "admm", "valid"), ("deblur", "pgd", "x")]
)
def test_what_cannot_be_exported(names: tuple[str, str, str], prior: LearnedProx, tmp_path: Path) -> None:
    problem, algorithm, boundary = names
    with pytest.raises(InputError, match="cannot be exported; choose one of"):
        export_solver(problem, algorithm, prior, tmp_path / "x.onnx", boundary=boundary)
