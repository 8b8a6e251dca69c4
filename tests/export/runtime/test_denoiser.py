"""The exported denoiser: light, equal to torch, and clear about illegal input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from gradprox.errors import InputError
from gradprox.export.runtime import OnnxDenoiser
from gradprox.priors import LearnedProx
from tests.export.small_networks import images
from tests.export.tampering import followed_by, tampered

BLOCKED = """
import sys

class Blocked:
    names = {"torch", "deepinv", "typer", "pydantic", "PIL", "safetensors", "scipy", "onnx", "onnxscript", "rich"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
from gradprox.export.runtime import OnnxDenoiser

y = np.random.default_rng(0).random((1, 1, 20, 30), dtype=np.float32)
np.save(sys.argv[2], OnnxDenoiser(sys.argv[1], tile=8)(y, 0.1))
"""


def test_needs_numpy_and_onnxruntime_only(denoiser_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.npy"
    subprocess.run([sys.executable, "-c", BLOCKED, str(denoiser_file), str(target)], check=True)
    np.testing.assert_array_equal(np.load(target), OnnxDenoiser(denoiser_file)(images(1, 1, 20, 30), 0.1))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_the_example_of_a_deployment(denoiser_file: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    script = Path(__file__).parents[3] / "examples" / "deploy" / "denoise.py"
    image = images(*shape)
    np.save(tmp_path / "noisy.npy", image)
    files = [denoiser_file, tmp_path / "noisy.npy", tmp_path / "clean.npy"]
    subprocess.run([sys.executable, script, *files, "--noise", "0.1"], check=True)
    clean = np.load(tmp_path / "clean.npy")
    assert clean.shape == shape
    first = image if image.ndim == 2 else image[..., 0]
    expected = OnnxDenoiser(denoiser_file)(first[None, None], 0.1)[0, 0]
    np.testing.assert_array_equal(clean if clean.ndim == 2 else clean[..., 0], expected)


def test_the_example_of_a_deployment_says_what_it_cannot_use(denoiser_file: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[3] / "examples" / "deploy" / "denoise.py"
    np.save(tmp_path / "bytes.npy", np.zeros((8, 8), np.uint8))
    command = [
        sys.executable,
        script,
        denoiser_file,
        tmp_path / "bytes.npy",
        tmp_path / "x.npy",
        "--noise",
        "0.1",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected floating-point images")
    assert done.stderr.count("\n") == 1


def test_equals_double_precision_torch_channel_by_channel(denoiser_file: Path, prior: LearnedProx) -> None:
    double = LearnedProx(type(prior.network)(prior.network.config).double())
    double.network.load_state_dict(prior.network.state_dict())
    y, levels = images(3, 3, 41, 23), np.array([0.01, 0.1, 0.2], np.float32)
    with torch.no_grad():
        expected = double(torch.from_numpy(y).double(), torch.from_numpy(levels)).numpy()
    x = OnnxDenoiser(denoiser_file)(y, levels)
    assert x.dtype == np.float32
    assert np.abs(x - expected).max() <= 2e-6


def test_input_is_not_changed_and_any_layout_will_do(denoiser_file: Path) -> None:
    denoiser, y = OnnxDenoiser(denoiser_file), images(1, 1, 30, 20)
    kept = y.copy()
    x = denoiser(y, 0.1)
    np.testing.assert_array_equal(y, kept)
    np.testing.assert_array_equal(denoiser(np.asfortranarray(y.astype(np.float64)), [0.1]), x)
    y.setflags(write=False)
    np.testing.assert_array_equal(denoiser(y[..., ::-1], 0.1), denoiser(y[..., ::-1].copy(), 0.1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(denoiser_file: Path, value: float) -> None:
    denoiser, y = OnnxDenoiser(denoiser_file), images(1, 1, 9, 9)
    with pytest.raises(InputError, match="noise level contains NaN"):
        denoiser(y, value)
    y[0, 0, 4, 4] = value
    with pytest.raises(InputError, match="image contains NaN"):
        denoiser(y, 0.1)


def test_a_result_that_is_not_finite(denoiser_file: Path, tmp_path: Path) -> None:
    path = tampered(denoiser_file, tmp_path / "log.onnx", followed_by("Log", "x"))
    with pytest.raises(InputError, match="result contains NaN"):
        OnnxDenoiser(path)(-images(1, 1, 9, 9), 0.1)


@pytest.mark.parametrize(
    ("y", "sigma"),
    [
        (np.zeros((1, 1, 4, 4), np.uint8), 0.1),
        (np.zeros((4, 4), np.float32), 0.1),
        (np.zeros((0, 1, 4, 4), np.float32), 0.1),
        (np.zeros((2, 1, 4, 4), np.float32), [0.1, 0.1, 0.1]),
        (np.zeros((1, 1, 4, 4), np.float32), []),
        (np.zeros((1, 1, 4, 4), complex), 0.1),
        (np.zeros((1, 0, 4, 4), np.float32), 0.1),
        (None, 0.1),
    ],
)
def test_illegal_calls(denoiser_file: Path, y: np.ndarray, sigma: object) -> None:
    with pytest.raises(InputError, match="expected"):
        OnnxDenoiser(denoiser_file)(y, sigma)


def test_negative_noise_is_refused(denoiser_file: Path) -> None:
    with pytest.raises(InputError, match=r"must not be negative, got -0\.1"):
        OnnxDenoiser(denoiser_file)(np.zeros((1, 1, 4, 4), np.float32), -0.1)


@pytest.mark.parametrize("sigma", ["much", 1j, {}, [0.1, "x"], [[0.1], [0.1, 0.2]]])
def test_what_is_no_noise_level(denoiser_file: Path, sigma: object) -> None:
    denoise = OnnxDenoiser(denoiser_file)
    with pytest.raises(InputError, match="noise level must be a number"):
        denoise(images(1, 1, 4, 4), sigma)
    with pytest.raises(InputError, match="noise level must be a number"):
        denoise.on_device(denoise.to_device(images(1, 1, 4, 4)), sigma)


def test_what_single_precision_cannot_hold(denoiser_file: Path) -> None:
    denoise = OnnxDenoiser(denoiser_file)
    with pytest.raises(InputError, match="image contains NaN or infinite"):
        denoise(np.full((1, 1, 4, 4), 1e39), 0.1)
    with pytest.raises(InputError, match="noise level contains NaN or infinite"):
        denoise(images(1, 1, 4, 4), 1e300)


@pytest.mark.parametrize("shape", [(1, 1, 9, 11), (3, 1, 30, 20), (1, 1, 200, 195)])
def test_what_stays_on_the_device_is_the_same(denoiser_file: Path, shape: tuple[int, ...]) -> None:
    denoise, y = OnnxDenoiser(denoiser_file, tile=None, threads=1), images(*shape)
    kept = y.copy()
    on_device = denoise.to_device(y)
    once = denoise.on_device(on_device, 0.1)
    np.testing.assert_array_equal(once.numpy(), denoise(y, 0.1))
    # A loop on the device: into new memory, and into a buffer that is given.
    twice = denoise.on_device(once, 0.05)
    expected = denoise(denoise(y, 0.1), 0.05)
    np.testing.assert_array_equal(twice.numpy(), expected)
    buffer = denoise.to_device(np.zeros(shape))
    assert denoise.on_device(once, 0.05, out=buffer) is buffer
    np.testing.assert_array_equal(buffer.numpy(), expected)
    np.testing.assert_array_equal(on_device.numpy(), kept)
    # What was copied there is a copy.
    y[:] = 0
    np.testing.assert_array_equal(on_device.numpy(), kept)


def test_illegal_tensors_on_the_device(denoiser_file: Path) -> None:
    denoise = OnnxDenoiser(denoiser_file)
    y = denoise.to_device(images(1, 1, 9, 9))
    with pytest.raises(InputError, match="image contains NaN"):
        denoise.to_device(np.full((1, 1, 3, 3), np.nan))
    with pytest.raises(InputError, match="expected floating-point images"):
        denoise.to_device(np.zeros((1, 1, 3, 3), int))
    with pytest.raises(InputError, match="expected a tensor from to_device, got ndarray"):
        denoise.on_device(images(1, 1, 9, 9), 0.1)
    for wrong in (images(1, 3, 9, 9), images(9, 9), images(1, 1, 9, 9).astype(np.float64)):
        with pytest.raises(InputError, match="expected float32 images"):
            denoise.on_device(onnxruntime.OrtValue.ortvalue_from_numpy(wrong), 0.1)
    for out in (y, denoise.to_device(images(1, 1, 9, 8))):
        with pytest.raises(InputError, match="to write to"):
            denoise.on_device(y, 0.1, out=out)
    for sigma in (-0.1, np.inf, np.nan):
        with pytest.raises(InputError, match="noise level"):
            denoise.on_device(y, sigma)
