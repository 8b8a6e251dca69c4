"""The exported denoiser in WebAssembly, under Node: the same function as in torch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from gradprox.priors import LearnedProx

WEB = Path(__file__).parents[2] / "examples" / "web"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node, which is not installed"),
    pytest.mark.skipif(
        not (WEB / "node_modules" / "onnxruntime-web").is_dir(),
        reason="needs onnxruntime-web: run `npm install` in examples/web",
    ),
]


def denoise(model: Path, y: np.ndarray, folder: Path, sigma: float, size: tuple[int, int]) -> Path:
    y.astype("<f4").tofile(folder / "noisy.f32")
    output = folder / "clean.f32"
    arguments = [str(model), str(folder / "noisy.f32"), str(output), *map(str, size), str(sigma)]
    subprocess.run(["node", str(WEB / "denoise.mjs"), *arguments], check=True, timeout=120)  # noqa: S607
    return output


@pytest.mark.parametrize(("colors", "channels"), [(False, 1), (False, 2), (True, 3)])
def test_the_web_runtime_computes_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, colors: bool, channels: int
) -> None:
    model: Path = request.getfixturevalue("color_file" if colors else "denoiser_file")
    prior: LearnedProx = request.getfixturevalue("color_prior" if colors else "prior")
    y = np.random.default_rng(0).random((channels, 37, 23), dtype=np.float32)
    x = np.fromfile(denoise(model, y, tmp_path, 0.1, (37, 23)), "<f4").reshape(y.shape)
    expected = prior(torch.from_numpy(y)[None], 0.1)
    np.testing.assert_allclose(x, expected[0].numpy(), atol=2e-6)
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_an_image_of_another_size_is_refused(denoiser_file: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        denoise(denoiser_file, np.zeros((1, 5, 7), np.float32), tmp_path, 0.1, (5, 8))
    assert not (tmp_path / "clean.f32").exists()
