"""White and black pixels in exported deblurring: the same inequalities, and so the same images, as in torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, numpy_helper

from gradprox.errors import InputError
from gradprox.export import VerificationError, export_solver, verify
from gradprox.export.runtime import OnnxSolver
from gradprox.physics import CircularBlur, gaussian_kernel, motion_kernel
from gradprox.priors import GradientStepDenoiser, LearnedProx
from gradprox.solvers import ClippedL2, deblur_images, preset
from gradprox.solvers.clipping import ClippedTerm
from tests.export.small_networks import small_deep
from tests.export.tampering import tampered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
KERNELS = {"gaussian": gaussian_kernel(0.8), "motion": motion_kernel(6, 30)}
# Slow exports; tests of presets export the valid one too.
BOUNDARIES = ["circular", *(pytest.param(name, marks=pytest.mark.slow) for name in ("valid", "symmetric"))]
NOISE = float(np.float32(0.02))


@pytest.fixture(scope="module", params=BOUNDARIES)
def file(request: pytest.FixtureRequest, deblurring_preset: Callable[[str], Path]) -> Path:
    return deblurring_preset(request.param)


@pytest.fixture(scope="module")
def deep() -> GradientStepDenoiser:
    return small_deep()


def photos(kernel: torch.Tensor, *shape: int) -> np.ndarray:
    """Return blurred images of blocks, one with a large white and a large black area, stored from black to white."""
    generator = np.random.default_rng(0)
    rough = generator.random((*shape[:2], shape[2] // 5 + 1, shape[3] // 5 + 1))
    blocks = np.kron(1.8 * rough - 0.4, np.ones((5, 5)))[..., : shape[2], : shape[3]]
    blocks[0, :, 2:14, 3:15], blocks[0, :, -9:, -10:] = 3.0, -0.2
    blurred = CircularBlur(kernel, (shape[2], shape[3]), shape[1]).A(torch.from_numpy(blocks).float()).numpy()
    found: np.ndarray = (blurred + 0.01 * generator.standard_normal(shape)).astype(np.float32).clip(0, 1)
    assert 0.1 < ((found == 0) | (found == 1)).mean() < 0.6
    return found


def agree(
    file: Path,
    prior: LearnedProx | GradientStepDenoiser,
    y: np.ndarray,
    kernel: torch.Tensor,
    last_solver: str = "hqs",
    **settings: object,
) -> None:
    """Compare a file, whose last solver is ``last_solver``, with `gradprox deblur` in double precision."""
    solver = OnnxSolver(file, threads=1)
    restored = solver(y, kernel[0, 0].numpy(), noise=NOISE, clipping=True, **settings)
    x, result = deblur_images(
        torch.from_numpy(y).double(),
        kernel.double(),
        copy.deepcopy(prior).double(),
        preset("deblur", NOISE, solver=last_solver, **settings),
        boundary=solver.boundary,
        fidelity=ClippedL2(),
    )
    assert np.abs(restored.x - x.numpy()).max() <= 1e-5
    assert restored.steps.tolist() == result.steps.tolist()
    assert restored.status == [status.value for status in result.status]
    energy = 5e-6 * np.square(y).sum() / 2
    np.testing.assert_allclose(
        restored.objective, result.objective.numpy(), rtol=0, atol=energy, equal_nan=True
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_what_the_command_line_runs(file: Path, prior: LearnedProx, kernel: str) -> None:
    y = photos(KERNELS[kernel], 1, 1, 33, 26)
    agree(file, prior, y, KERNELS[kernel])
    solver, taps = OnnxSolver(file, threads=1), KERNELS[kernel][0, 0].numpy()
    difference = solver(y, taps, noise=NOISE, clipping=True).x - solver(y, taps, noise=NOISE).x
    assert np.abs(difference).max() > 0.05


def test_batches_and_colors(file: Path, prior: LearnedProx) -> None:
    agree(file, prior, photos(KERNELS["motion"], 2, 3, 21, 18), KERNELS["motion"], strength=2.0)


def test_without_clipped_pixels_nothing_changes(file: Path) -> None:
    solver, kernel = OnnxSolver(file, threads=1), KERNELS["gaussian"][0, 0].numpy()
    y = photos(KERNELS["gaussian"], 1, 1, 33, 26).clip(0.01, 0.99)
    with_it, without = (solver(y, kernel, noise=NOISE, clipping=clipping) for clipping in (True, False))
    np.testing.assert_array_equal(with_it.x, without.x)
    np.testing.assert_array_equal(with_it.objective, without.objective)


@pytest.mark.parametrize("boundary", ["circular", pytest.param("valid", marks=pytest.mark.slow)])
def test_with_a_line_search(
    deep_deblurring: Callable[[str], Path], deep: GradientStepDenoiser, boundary: str
) -> None:
    path = deep_deblurring(boundary)
    agree(path, deep, photos(KERNELS["motion"], 2, 1, 24, 19), KERNELS["motion"])


def test_with_steps_along_the_gradient(
    shared_file: Callable[[str, Callable[[Path], object]], Path], deep: GradientStepDenoiser
) -> None:
    path = shared_file(
        "nmapg-circular-deep.onnx",
        lambda path: export_solver("deblur", "nmapg", deep, path, boundary="circular"),
    )
    y = photos(KERNELS["motion"], 2, 1, 24, 19)
    agree(path, deep, y, KERNELS["motion"], "nmapg")
    solver, taps = OnnxSolver(path, threads=1), KERNELS["motion"][0, 0].numpy()
    difference = solver(y, taps, noise=NOISE, clipping=True).x - solver(y, taps, noise=NOISE).x
    assert np.abs(difference).max() > 0.05


def test_safe_steps_replace_newton_steps_that_do_not_descend(
    file: Path, prior: LearnedProx, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, fit = [], ClippedTerm._least_squares

    def watched(self: ClippedTerm, *arguments: object) -> torch.Tensor:
        safe.append(arguments[-1] is not self.y)
        return fit(self, *arguments)

    monkeypatch.setattr(ClippedTerm, "_least_squares", watched)
    agree(file, prior, photos(KERNELS["gaussian"], 2, 1, 20, 21), KERNELS["gaussian"])
    assert any(safe)
    assert not all(safe)


def test_wrong_inequalities_are_found(file: Path, tmp_path: Path) -> None:
    def one_newton_step(model: ModelProto) -> None:
        (count,) = (tensor for tensor in model.graph.initializer if tensor.name == "newton_steps")
        count.CopyFrom(numpy_helper.from_array(np.array(1), "newton_steps"))

    with pytest.raises(VerificationError, match=r"differs|steps, not"):
        verify(tampered(file, tmp_path / "one.onnx", one_newton_step))


def test_other_files_refuse(prior: LearnedProx, tmp_path: Path) -> None:
    path = tmp_path / "gd.onnx"
    export_solver("deblur", "gd", prior, path, boundary="circular")
    solver = OnnxSolver(path)
    assert not solver.takes_clipping
    with pytest.raises(InputError, match="takes white and black pixels as they are"):
        solver(
            np.ones((1, 1, 12, 12), np.float32), KERNELS["gaussian"][0, 0].numpy(), noise=NOISE, clipping=True
        )
