"""The preset of deblurring as one ONNX file: the images, objectives and step counts of the command line's solver."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper

from gradprox.errors import InputError
from gradprox.export import VerificationError, verify
from gradprox.export.graph.preset_steps import Schedule
from gradprox.export.graph.recipe import Recipe, recipe_of
from gradprox.export.runtime import OnnxSolver
from gradprox.noise_rule import NoiseRule
from gradprox.physics import gaussian_kernel, motion_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import preset
from gradprox.solvers.deblurring import deblur_images
from gradprox.solvers.presets import DEBLUR_STEPS, Task
from tests.export.reports import report_in, verified_again
from tests.export.tampering import say, tampered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
KERNELS = {"gaussian": gaussian_kernel(0.8)[0, 0].numpy(), "motion": motion_kernel(6, 30)[0, 0].numpy()}


@pytest.fixture(
    scope="module",
    params=["circular", "valid", pytest.param("symmetric", marks=pytest.mark.slow)],
)
def exported_preset(request: pytest.FixtureRequest, deblurring_preset: Callable[[str], Path]) -> Path:
    return deblurring_preset(request.param)


@pytest.fixture(scope="module")
def solver(exported_preset: Path) -> OnnxSolver:
    return OnnxSolver(exported_preset, threads=1)


def photos(*shape: int) -> np.ndarray:
    """Return images of blocks, each with another contrast, so that they converge at different steps."""
    generator = np.random.default_rng(0)
    rough = generator.random((*shape[:2], shape[2] // 5 + 1, shape[3] // 5 + 1))
    smooth = np.kron(rough, np.ones((5, 5)))[..., : shape[2], : shape[3]]
    smooth *= np.linspace(1, 0.1, shape[0])[:, None, None, None]
    return (smooth + 0.01 * generator.standard_normal(shape)).astype(np.float32)


def in_torch(
    solver: OnnxSolver,
    prior: LearnedProx,
    y: np.ndarray,
    kernel: np.ndarray,
    noise: float,
    dtype: torch.dtype = torch.float64,
    **settings: object,
) -> tuple[np.ndarray, object]:
    """Return the result of ``gradprox deblur``, in double precision if not said otherwise."""
    x0 = settings.pop("x0", None)
    x, result = deblur_images(
        torch.from_numpy(y).to(dtype),
        torch.from_numpy(kernel).to(dtype)[None, None],
        copy.deepcopy(prior).to(dtype),
        preset("deblur", float(np.float32(noise)), **settings),
        boundary=solver.boundary,
        x0=None if x0 is None else torch.from_numpy(x0).double(),
    )
    return x.numpy(), result


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_it_is_what_the_command_line_runs(
    solver: OnnxSolver, prior: LearnedProx, noise: float, kernel: str
) -> None:
    y = photos(2, 1, 33, 26)
    restored = solver(y, KERNELS[kernel], noise=noise)
    x, result = in_torch(solver, prior, y, KERNELS[kernel], noise)
    # Without noise the fit of a motion with mirrored borders amplifies every rounding of an image to single precision.
    amplified = solver.boundary == "symmetric" and noise == 0
    single = in_torch(solver, prior, y, KERNELS[kernel], noise, torch.float32)[0] if amplified else x
    assert np.abs(restored.x - x).max() <= max(1e-5, np.abs(single - x).max())
    assert restored.steps.tolist() == result.steps.tolist()
    assert restored.status == [status.value for status in result.status]
    # Rounding errors are relative to the energy of the image, of which the objective is a small part. Those of torch in
    # single precision are as large.
    rounding = 5e-6 * np.square(y).sum() / 2
    expected = result.objective.numpy()
    np.testing.assert_allclose(restored.objective, expected, rtol=0, atol=rounding, equal_nan=True)
    assert np.nanmax(np.diff(restored.objective, axis=1)) <= rounding


def test_images_stop_one_by_one(solver: OnnxSolver, prior: LearnedProx) -> None:
    y = photos(3, 1, 30, 25)
    settings = {"max_iter": 40, "tol": float(np.float32(2e-3)), "strength": 2.0}
    restored = solver(y, KERNELS["motion"], noise=0.01, **settings)
    x, result = in_torch(solver, prior, y, KERNELS["motion"], 0.01, **settings)
    assert len(set(restored.steps.tolist())) > 1
    assert restored.steps.tolist() == result.steps.tolist()
    assert restored.status == [status.value for status in result.status]
    assert np.abs(restored.x - x).max() <= 1e-5
    alone = solver(y[1:2], KERNELS["motion"], noise=0.01, **settings)
    np.testing.assert_allclose(alone.x, restored.x[1:2], rtol=0, atol=1e-6)


def test_strength_and_start(solver: OnnxSolver, prior: LearnedProx) -> None:
    y, kernel = photos(1, 3, 20, 21), KERNELS["gaussian"]
    x0 = np.random.default_rng(1).random(y.shape, dtype=np.float32)
    for settings in ({"strength": 3.0}, {"x0": x0}, {"max_iter": 5, "tol": 0.0}):
        restored = solver(y, kernel, noise=0.02, **settings)
        x, result = in_torch(solver, prior, y, kernel, 0.02, **settings)
        assert np.abs(restored.x - x).max() <= 1e-5
        assert restored.steps.tolist() == result.steps.tolist()
        assert restored.status == [status.value for status in result.status]
        assert np.abs(restored.x - solver(y, kernel, noise=0.02).x).max() > 1e-4


def test_a_file_verifies_by_itself(exported_preset: Path) -> None:
    report = report_in(exported_preset)
    assert verified_again(exported_preset) == report
    assert report["error"] <= 1e-5


def test_its_inputs(exported_preset: Path) -> None:
    model = onnx.load(exported_preset)
    # The warm start, the last solver, and the tiles of the first images of that.
    assert [node.op_type for node in model.graph.node].count("Loop") == 3
    names = ["y", "kernel", "noise", "strength", "tol", "max_iter", "x0", "clipping"]
    assert [value.name for value in model.graph.input] == names
    assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))


def test_a_changed_preset_is_found(exported_preset: Path, tmp_path: Path) -> None:
    path = exported_preset
    stated = json.loads(OnnxSolver(path).metadata["preset"])
    other = json.dumps(stated | {"first_sigma": 0.9 * stated["first_sigma"]})
    with pytest.raises(VerificationError, match=r"differs|steps, not"):
        verify(tampered(path, tmp_path / "said.onnx", say(preset=other)))

    def fewer_steps(model: ModelProto) -> None:
        """Let the warm start end one level early."""
        steps = {
            tensor.name
            for tensor in model.graph.initializer
            if tensor.data_type == onnx.TensorProto.INT64
            and numpy_helper.to_array(tensor).tolist() == DEBLUR_STEPS
        }
        model.graph.initializer.append(numpy_helper.from_array(np.array(DEBLUR_STEPS - 1), "fewer"))
        changed = 0
        for node in model.graph.node:  # the tiles of the network use the same number
            for place, name in enumerate(node.input):
                if name in steps and node.name.startswith("schedule/"):
                    node.input[place] = "fewer"
                    changed += 1
        assert changed

    with pytest.raises(VerificationError, match="steps, not"):
        verify(tampered(path, tmp_path / "shorter.onnx", fewer_steps))


@pytest.mark.parametrize(
    "entries",
    [{"algorithm": "adam"}, {"problem": "inpaint"}, {"problem": None}, {"channels": "2"}],
)
def test_other_metadata_that_make_no_sense(
    exported_preset: Path, tmp_path: Path, entries: dict[str, str | None]
) -> None:
    with pytest.raises(InputError) as caught:
        OnnxSolver(tampered(exported_preset, tmp_path / "odd.onnx", say(**entries)))
    assert "\n" not in str(caught.value)


def test_images_and_kernels_in_any_layout(solver: OnnxSolver) -> None:
    y, kernel = photos(1, 1, 14, 13), KERNELS["motion"]
    expected = solver(y, kernel, noise=0.05)
    for other, taps in (
        (np.asfortranarray(y.astype(np.float64)), kernel[None, None]),
        (y[..., ::-1].copy()[..., ::-1], kernel.astype(np.float64)[:, ::-1].copy()[:, ::-1]),
        (y.tolist(), kernel.tolist()),
    ):
        found = solver(other, taps, noise=np.array([0.05]), max_iter=np.int32(solver_steps(solver)))
        np.testing.assert_allclose(found.x, expected.x, rtol=0, atol=1e-6)


def solver_steps(solver: OnnxSolver) -> int:
    """Return the planned steps of a preset."""
    return int(json.loads(solver.metadata["preset"])["max_iter"])


@pytest.mark.parametrize("entry", ['{"rule": {}}', "[]", "no JSON", None, '{"rule": {"factor": 0}}'])
def test_metadata_that_make_no_sense(exported_preset: Path, tmp_path: Path, entry: str | None) -> None:
    path = tampered(exported_preset, tmp_path / "odd.onnx", say(preset=entry))
    for read in (OnnxSolver, verify):
        with pytest.raises(InputError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": None}, "give noise, the standard deviation"),
        ({"noise": -0.1}, "noise must not be negative"),
        ({"noise": 25}, "write gray levels as 25/255"),
        ({"noise": "x"}, "noise must be a number, got 'x'"),
        ({"noise": [0.1, 0.2]}, "noise must be one number"),
        ({"noise": True}, "noise must be a number, got True"),
        ({"noise": 0.05 + 0j}, "noise must be a number"),
        ({"strength": float("nan")}, "strength contains NaN"),
        ({"tol": -1e-3}, "tol must be in"),
        ({"max_iter": True}, "max_iter must be a whole number"),
        ({"max_iter": 2.5}, "max_iter must be a whole number"),
        ({"max_iter": np.float64(5)}, "max_iter must be a whole number"),
        ({"max_iter": 10**30}, "max_iter must be a whole number"),
        ({"kernel": np.ones((3, 3, 3), np.float32)}, "expected a floating-point kernel"),
        ({"kernel": np.ones((1, 2, 3, 3))}, "expected a floating-point kernel"),
        ({"kernel": np.ones((3, 3), int)}, "expected a floating-point kernel"),
        ({"kernel": "gaussian:1.6"}, "expected a floating-point kernel"),
        ({"kernel": np.zeros((3, 3), np.float32)}, "kernel is zero"),
        ({"kernel": np.full((3, 3), np.nan, np.float32)}, "kernel contains NaN"),
        ({"kernel": np.ones((13, 3), np.float32)}, "larger than the image"),
        ({"y": np.full((1, 1, 12, 12), np.inf, np.float32)}, "y contains NaN"),
        ({"y": np.full((1, 1, 12, 12), 1e300)}, "y contains NaN or infinite"),
        ({"y": np.zeros((12, 12), np.float32)}, "expected floating-point images"),
        ({"y": np.zeros((1, 1, 12, 12), int)}, "expected floating-point images"),
        ({"y": np.zeros((1, 1, 12, 12), complex)}, "expected floating-point images"),
        ({"y": np.zeros((1, 1, 0, 12), np.float32)}, "expected floating-point images"),
        ({"y": [[0.1], [0.2, 0.3]]}, "expected floating-point images"),
        ({"y": np.broadcast_to(np.float32(0.5), (1, 1, 2**24, 2**24))}, "does not fit into memory"),
        (
            {"x0": np.zeros((1, 1, 12, 11), np.float32)},
            r"x0 of shape \(1, 1, 12, 12\), got .* \(1, 1, 12, 11\)",
        ),
        ({"x0": np.zeros((12, 12), np.float32)}, "expected floating-point first images x0"),
        ({"x0": np.zeros((1, 1, 12, 12), int)}, "expected floating-point first images x0"),
        ({"x0": np.full((1, 1, 12, 12), np.nan)}, "x0 contains NaN"),
        ({"strength": 0.0}, "strength must be positive"),
        ({"tol": 1.0}, "tol must be in"),
        ({"max_iter": -1}, "max_iter must be a whole number"),
        ({"kernel": None}, "needs a kernel"),
    ],
)
def test_illegal_calls(solver: OnnxSolver, changes: dict[str, object], message: str) -> None:
    arguments = {"y": photos(1, 1, 12, 12), "kernel": KERNELS["gaussian"], "noise": 0.01} | changes
    with pytest.raises(InputError, match=message):
        solver(**arguments)


def test_images_on_another_scale(solver: OnnxSolver) -> None:
    y = photos(1, 1, 12, 12)
    with pytest.warns(
        UserWarning, match=r"deblur-.*.onnx: y: values reach .* divide them by the value of white"
    ):
        solver(255 * y, KERNELS["gaussian"], noise=0.01)
    with pytest.warns(UserWarning, match="x0: values reach"):
        solver(y, KERNELS["gaussian"], noise=0.01, x0=255 * y)
    with pytest.warns(UserWarning, match="made for noise from 1/255 to 50/255"):
        solver(y, KERNELS["gaussian"], noise=0.6)


def test_the_recipe_is_the_preset() -> None:
    recipe = recipe_of(Task.DEBLUR)
    for noise in (0.0, 0.01, 0.1, 0.9):
        assert recipe.preset(noise, 2.0, 9, 1e-3) == preset(
            "deblur", noise, strength=2.0, max_iter=9, tol=1e-3
        )


@pytest.mark.parametrize("rule", [NoiseRule(0.7), NoiseRule(4.0, least_sigma=0.02, balance=0.3)])
@pytest.mark.parametrize("solver", ["hqs", "fista"])
def test_the_schedule_follows_the_noise(rule: NoiseRule, solver: str) -> None:
    recipe = Recipe(rule, 0.2, 5, 3, 1e-3, solver=solver)
    # That of FISTA multiplies a noise level, which is at most 1.
    strength = 1.5 if solver == "hqs" else 0.75
    for noise in (0.0, 0.01, 0.04, 0.3, 1.0):
        values = (torch.tensor([value], dtype=torch.float64) for value in (noise, strength))
        levels, weights, steps, sigma, weight = (value.tolist() for value in Schedule(recipe)(*values))
        expected = recipe.preset(noise, strength)
        assert sigma == pytest.approx([expected.solver.sigma])
        if solver == "hqs":
            assert weight == pytest.approx([expected.solver.lambda_reg])
        assert steps == (5 if expected.warm_start else 0)
        for start in expected.warm_start:
            assert levels == pytest.approx([start.level(k) for k in range(5)])
            assert weights == pytest.approx([start.weight(level) for level in levels])
