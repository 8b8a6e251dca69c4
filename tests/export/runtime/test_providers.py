"""A model runs where it was asked to run, or an error says why not."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from gradprox.errors import InputError
from gradprox.export.runtime import OnnxDenoiser
from gradprox.export.runtime.providers import PROVIDERS


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "openvino", "coreml", "directml"])
def test_another_provider_is_an_error_not_a_warning(denoiser_file: Path, provider: str) -> None:
    if PROVIDERS[provider] in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has {provider}")
    with pytest.raises(InputError, match=f"provider {provider}: this onnxruntime was built without"):
        OnnxDenoiser(denoiser_file, provider)
    with pytest.warns(RuntimeWarning, match="running on the CPU"):
        denoiser = OnnxDenoiser(denoiser_file, provider, allow_fallback=True)
    assert denoiser.provider == "cpu"


def test_a_provider_that_does_not_start_is_an_error(
    denoiser_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a machine without a GPU driver: the build lists CUDA, and the session quietly runs on the CPU.
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda c, o, _: session(c, o, ["CPUExecutionProvider"])
    )
    with pytest.raises(InputError, match="could not be started"):
        OnnxDenoiser(denoiser_file, "cuda")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"provider": "gpu"}, "unknown"),
        ({"provider": "CUDA"}, "unknown"),
        ({"provider": "CPUExecutionProvider"}, "unknown"),
        ({"threads": 0}, "threads must be a whole number of at least 1, got 0"),
        ({"threads": 1.5}, "threads"),
        ({"threads": 10**10}, "threads"),
        ({"tile": 0}, "tile"),
        ({"tile": "8"}, "tile must be a whole number of at least 1, got '8'"),
    ],
)
def test_illegal_settings(denoiser_file: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OnnxDenoiser(denoiser_file, **settings)
