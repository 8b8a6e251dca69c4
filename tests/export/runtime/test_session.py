"""Sessions: prepared for one noise level, and shared by threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from gradprox.export.runtime import OnnxDenoiser, protobuf, session
from gradprox.export.runtime.denoiser import SPECIALIZE
from gradprox.export.runtime.providers import open_session
from gradprox.export.runtime.session import Session
from tests.export.small_networks import images


def test_large_images_run_on_a_model_prepared_for_their_noise_level(denoiser_file: Path) -> None:
    y = images(1, 1, 200, 195)
    assert y.size >= SPECIALIZE
    general_session = Session(denoiser_file, "denoiser", "cpu", allow_fallback=False, threads=1)
    whole, tiled = (OnnxDenoiser(denoiser_file, threads=1, tile=tile) for tile in (None, 64))
    for sigma in (0.1, 0.02, 0.1, 0.0):
        x = whole(y, sigma)
        general = general_session.run({"y": y, "sigma": np.array([sigma], np.float32)})["x"]
        assert np.abs(x - general).max() <= 1e-6
        np.testing.assert_array_equal(tiled(y, sigma), x)


def test_an_input_becomes_a_constant(denoiser_file: Path) -> None:
    model = onnx.load_model_from_string(protobuf.with_constant(denoiser_file.read_bytes(), "sigma", 0.25))
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["y"]
    (constant,) = [tensor for tensor in model.graph.initializer if tensor.name == "sigma"]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(constant), np.array([0.25], np.float32))


def test_threads_share_one_prepared_session(denoiser_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = OnnxDenoiser(denoiser_file, threads=1, tile=None)(images(1, 1, 200, 195), 0.1)
    denoise, opened, second = OnnxDenoiser(denoiser_file, threads=1, tile=None), [], threading.Event()

    def slow(content: bytes, *arguments: object, **settings: object) -> onnxruntime.InferenceSession:
        opened.append(content)
        if len(opened) > 1:
            second.set()
        # Gives another thread time to prepare the same session, if nothing keeps it from that.
        second.wait(0.5)
        return open_session(content, *arguments, **settings)

    monkeypatch.setattr(session, "open_session", slow)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: denoise(images(1, 1, 200, 195), 0.1), range(2)))
    assert len(opened) == 1
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_threads_with_other_noise_levels_do_not_disturb_each_other(denoiser_file: Path) -> None:
    y, levels = images(1, 1, 200, 195), [0.02, 0.1] * 4
    denoise = OnnxDenoiser(denoiser_file, threads=1, tile=None)
    expected = {level: denoise(y, level) for level in (0.02, 0.1)}
    with ThreadPoolExecutor(4) as pool:
        for level, result in zip(levels, pool.map(lambda level: denoise(y, level), levels), strict=True):
            np.testing.assert_array_equal(result, expected[level])
