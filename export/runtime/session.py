"""One ONNX Runtime session, on the hardware that was asked for."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from gradprox.errors import InputError
from gradprox.export.runtime import container, protobuf

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
# What ONNX Runtime raises; they share no base but Exception.
SESSION_ERRORS = (
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


class Session:
    """A checked model file, loaded.

    Args:
        path: the file.
        kind: what must be in it: ``"denoiser"`` or ``"solver"``.
        provider: where it runs: one of `PROVIDERS`.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads of one operation; ONNX Runtime's choice, all cores, if not given.

    Attributes:
        outputs: names of what the model returns.

    Raises:
        InputError: the file is no such model (see `container.read`), or the provider cannot be used.
    """

    def __init__(
        self, path: str | Path, kind: str, provider: str, *, allow_fallback: bool, threads: int | None
    ) -> None:
        self._content, self.metadata = container.read(path)
        self.path = path
        found = self.metadata.get("kind")
        if found != kind:
            raise InputError(f"{path}: holds a {found}, not a {kind}")
        self._asked = (provider, allow_fallback, threads)
        self._session = self._open(self._content)
        self.outputs = [output.name for output in self._session.get_outputs()]
        self._constants: dict[str, float] = {}
        self._specialised = self._session

    @property
    def provider(self) -> str:
        """Name of the provider in use, as in `PROVIDERS`."""
        in_use = self._session.get_providers()[0]
        return next(name for name, full in PROVIDERS.items() if full == in_use)

    def entry(self, key: str) -> Any:
        """Return a JSON entry of the metadata.

        Raises:
            InputError: there is none.
        """
        try:
            return json.loads(self.metadata[key])
        except (KeyError, ValueError) as error:
            raise InputError(f"{self.path}: its metadata lacks a readable {key!r}") from error

    def run(
        self, inputs: Mapping[str, NDArray[Any]], constants: Mapping[str, float] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the model; return its outputs by name.

        Args:
            inputs: by name.
            constants: inputs of shape ``(1,)`` that stay the same for long. ONNX Runtime then folds all that
                depends on them alone, and prepares convolutions with the filters that result: on a CPU a quarter
                less time, for some hundredths of a second when they change.

        Raises:
            InputError: ONNX Runtime cannot, as for want of memory.
        """
        session, rest = self._prepared(constants or {})
        try:
            return dict(zip(self.outputs, session.run(None, {**inputs, **rest}), strict=True))
        except SESSION_ERRORS as error:
            raise InputError(f"{self.path}: ONNX Runtime cannot run it: {one_line(error)}") from error

    def to_device(self, array: NDArray[Any]) -> onnxruntime.OrtValue:
        """Put an array where the provider computes; on the CPU it stays where it is."""
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device)

    def run_on_device(
        self,
        inputs: Mapping[str, onnxruntime.OrtValue],
        small: Mapping[str, NDArray[Any]],
        constants: Mapping[str, float],
        output: str,
        out: onnxruntime.OrtValue | None,
    ) -> onnxruntime.OrtValue:
        """Run the model on what is on the device already, and leave what it returns there.

        Args:
            inputs: by name.
            small: inputs that are copied there, by name.
            constants: as of `run`.
            output: name of the one output that is wanted.
            out: where to write it; new memory if not given.

        Raises:
            InputError: ONNX Runtime cannot, as for want of memory.
        """
        session, rest = self._prepared(constants)
        try:
            binding = session.io_binding()
            for name, value in inputs.items():
                binding.bind_ortvalue_input(name, value)
            for name, array in {**small, **rest}.items():
                binding.bind_cpu_input(name, array)
            if out is None:
                binding.bind_output(output, self._device)
            else:
                binding.bind_ortvalue_output(output, out)
            # What an earlier call put on the device may still be on its way; so may this result.
            binding.synchronize_inputs()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            (result,) = binding.get_outputs()
        except SESSION_ERRORS as error:
            raise InputError(f"{self.path}: ONNX Runtime cannot run it: {one_line(error)}") from error
        return result if out is None else out

    @property
    def _device(self) -> str:
        return DEVICES.get(self.provider, "cpu")

    def _prepared(
        self, constants: Mapping[str, float]
    ) -> tuple[onnxruntime.InferenceSession, dict[str, NDArray[Any]]]:
        """Return a session for these constants, and those that it takes as inputs."""
        if self.provider != "cpu":
            # Elsewhere preparing a model can take minutes, and gains nothing.
            return self._session, {name: np.array([v], np.float32) for name, v in constants.items()}
        if not constants:
            return self._session, {}
        if constants != self._constants:
            content = self._content
            for name, value in constants.items():
                content = protobuf.with_constant(content, name, value)
            self._specialised, self._constants = self._open(content), dict(constants)
        return self._specialised, {}

    def _open(self, content: bytes) -> onnxruntime.InferenceSession:
        provider, allow_fallback, threads = self._asked
        return open_session(
            content, provider, allow_fallback=allow_fallback, threads=threads, label=str(self.path)
        )


def open_session(
    content: bytes, provider: str, *, allow_fallback: bool, threads: int | None, label: str
) -> onnxruntime.InferenceSession:
    """Load a serialized model on ``provider``, and nowhere else unless ``allow_fallback``.

    Raises:
        InputError: the provider is unknown or cannot be used, ``threads`` is not positive, or ONNX Runtime cannot
            load the model.
    """
    wanted = find_provider(provider, allow_fallback=allow_fallback)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 0 if threads is None else whole_number("threads", threads, 1)
    # Images come in all sizes: a memory plan for each would only pile up.
    options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(content, options, [wanted])
    except SESSION_ERRORS as error:
        raise InputError(f"{label}: ONNX Runtime cannot load it: {one_line(error)}") from error
    session.disable_fallback()
    if session.get_providers()[0] != wanted:
        _refuse_or_warn(f"{provider} could not be started on this machine", provider, allow_fallback)
    return session


def find_provider(provider: str, *, allow_fallback: bool) -> str:
    """Return ONNX Runtime's name of ``provider``, or, where this build lacks it, that of the CPU if allowed.

    Raises:
        InputError: the provider is unknown, or lacking.
    """
    if provider not in PROVIDERS:
        raise InputError(f"provider {provider}: unknown; choose one of {', '.join(PROVIDERS)}")
    if PROVIDERS[provider] in onnxruntime.get_available_providers():
        return PROVIDERS[provider]
    _refuse_or_warn(f"this onnxruntime was built without {provider}", provider, allow_fallback)
    return PROVIDERS["cpu"]


def finite(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return ``array``.

    Raises:
        InputError: it contains NaN or infinite values.
    """
    if not np.isfinite(array).all():
        raise InputError(f"{name} contains NaN or infinite values")
    return array


def single(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a copy in single precision, row by row.

    Raises:
        InputError: it contains NaN or infinite values, or such as single precision cannot hold.
    """
    with np.errstate(over="ignore"):
        return finite(name, array.astype(np.float32, order="C"))


def numbers(name: str, value: object) -> NDArray[np.float32]:
    """Return one number or several in single precision, ``(n,)``.

    Raises:
        InputError: they are not numbers, or not finite.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, got {value!r}") from error
    return single(name, array.reshape(-1))


def whole_number(name: str, value: object, least: int) -> int:
    """Return an integer of at least ``least``.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, (int, np.integer)) or not least <= value < 2**31:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def _refuse_or_warn(reason: str, provider: str, allow_fallback: bool) -> None:
    if not allow_fallback:
        raise InputError(f"provider {provider}: {reason}; use cpu, or allow the fallback to it")
    warnings.warn(f"{reason}: running on the CPU instead", RuntimeWarning, stacklevel=2)


def one_line(error: BaseException) -> str:
    """Return the message of an error without its line breaks."""
    return " ".join(str(error).split())
