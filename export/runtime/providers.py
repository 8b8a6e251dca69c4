"""The hardware that ONNX Runtime computes on: a model runs where it was asked to run, or an error says why not."""

from __future__ import annotations

import warnings

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from gradprox.errors import InputError
from gradprox.export.runtime.arguments import whole_number

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
# Where a provider keeps its tensors, if not in the memory of the CPU.
DEVICES = {"cuda": "cuda", "tensorrt": "cuda", "directml": "dml"}
# Errors of ONNX Runtime; they share no base but Exception. The first is raised in place of another one, whose message
# quotes a name that is not UTF-8.
SESSION_ERRORS = (
    UnicodeDecodeError,
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.ModelLoaded,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
_ERRORS_ONLY = 3  # severity of ONNX Runtime's log


def find_provider(provider: str, *, allow_fallback: bool) -> str:
    """Return ONNX Runtime's name of ``provider``, or of the CPU where this build lacks it and that is allowed.

    Raises:
        InputError: the provider is unknown, or this build lacks it.
    """
    if not isinstance(provider, str) or provider not in PROVIDERS:
        raise InputError(f"provider {provider}: unknown; choose one of {', '.join(PROVIDERS)}")
    if PROVIDERS[provider] in onnxruntime.get_available_providers():
        return PROVIDERS[provider]
    _refuse_or_warn(f"this onnxruntime was built without {provider}", provider, allow_fallback)
    return PROVIDERS["cpu"]


def open_session(
    content: bytes, provider: str, *, allow_fallback: bool, threads: int | None, label: str
) -> onnxruntime.InferenceSession:
    """Load a serialized model on ``provider``, or on the CPU where that fails and ``allow_fallback`` is true.

    Raises:
        InputError: the provider is unknown or cannot be used, ``threads`` is not positive, or ONNX Runtime cannot
            load the model.
    """
    wanted = find_provider(provider, allow_fallback=allow_fallback)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 0 if threads is None else whole_number("threads", threads, 1)
    # Images have all sizes, and a memory plan for each size would be kept forever.
    options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(content, options, [wanted])
    except SESSION_ERRORS as error:
        raise InputError(f"{label}: ONNX Runtime cannot load it: {one_line(error)}") from error
    session.disable_fallback()
    if session.get_providers()[0] != wanted:
        _refuse_or_warn(f"{provider} could not be started on this machine", provider, allow_fallback)
    return session


def one_line(error: BaseException) -> str:
    """Return the message of an error without its line breaks."""
    return " ".join(str(error).split())


def _refuse_or_warn(reason: str, provider: str, allow_fallback: bool) -> None:
    if not allow_fallback:
        raise InputError(f"provider {provider}: {reason}; use cpu, or allow the fallback to it")
    warnings.warn(f"{reason}: running on the CPU instead", RuntimeWarning, stacklevel=2)
