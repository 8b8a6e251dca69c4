"""A model file in ONNX Runtime."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.export.runtime import container, protobuf
from gradprox.export.runtime.providers import DEVICES, PROVIDERS, SESSION_ERRORS, one_line, open_session


class Session:
    """A checked model file, loaded. It may be used by several threads at a time.

    Args:
        path: the file.
        kind: the kind of model that the file must hold: ``"denoiser"`` or ``"solver"``.
        provider: where it runs: one of `PROVIDERS`.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads of one operation; if not given, ONNX Runtime's choice, all cores.
        inputs: names of the inputs that the model must have.
        outputs: names of outputs that the model must have; others may follow.

    Attributes:
        outputs: names of the outputs of the model.
        optional: names of the inputs that may be left out.

    Raises:
        InputError: the file holds no such model (see `container.read`), or the provider cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        kind: str,
        provider: str,
        *,
        allow_fallback: bool,
        threads: int | None,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
    ) -> None:
        self._content, self.metadata = container.read(path)
        self.path = path
        found = self.metadata.get("kind", "model of no stated kind")
        if found != kind:
            raise InputError(f"{path}: contains a {found}, not a {kind}")
        self._asked = (provider, allow_fallback, threads)
        self._session = self._open(self._content)
        self.outputs = [output.name for output in self._session.get_outputs()]
        self.optional = [value.name for value in self._session.get_overridable_initializers()]
        taken = [value.name for value in self._session.get_inputs()]
        if inputs and (sorted(taken) != sorted(inputs) or self.outputs[: len(outputs)] != list(outputs)):
            raise InputError(
                f"{path}: is not a {kind} that this version of gradprox can run: its inputs are {', '.join(taken)}, "
                f"its outputs {', '.join(self.outputs)}"
            )
        # The session prepared last, and the constants it was prepared for. They change together, under the lock.
        self._lock = threading.Lock()
        self._constants: dict[str, float] = {}
        self._specialized = self._session

    @property
    def provider(self) -> str:
        """Name of the provider in use, as in `PROVIDERS`."""
        in_use = self._session.get_providers()[0]
        return next(name for name, full in PROVIDERS.items() if full == in_use)

    def entry(self, key: str) -> Any:
        """Return a JSON entry of the metadata.

        Raises:
            InputError: the entry is missing or damaged.
        """
        try:
            return json.loads(self.metadata[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise InputError(f"{self.path}: its metadata lacks a readable {key!r}") from error

    def run(
        self, inputs: Mapping[str, NDArray[Any]], constants: Mapping[str, float] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the model; return its outputs by name.

        Args:
            inputs: inputs by name.
            constants: inputs of shape ``(1,)`` that rarely change, by name. ONNX Runtime then computes all that
                depends on them alone beforehand, and prepares convolutions with the resulting filters. On a CPU that
                saves a quarter of the time, and costs some hundredths of a second when they change.

        Raises:
            InputError: ONNX Runtime cannot run it, for example for lack of memory.
        """
        session, rest = self._prepared(constants or {})
        try:
            return dict(zip(self.outputs, session.run(None, {**inputs, **rest}), strict=True))
        except SESSION_ERRORS as error:
            raise InputError(f"{self.path}: ONNX Runtime cannot run it: {one_line(error)}") from error

    def to_device(self, array: NDArray[Any]) -> onnxruntime.OrtValue:
        """Copy an array to where the provider computes; on the CPU it stays where it is."""
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device)

    def run_on_device(
        self,
        inputs: Mapping[str, onnxruntime.OrtValue],
        small: Mapping[str, NDArray[Any]],
        constants: Mapping[str, float],
        output: str,
        out: onnxruntime.OrtValue | None,
    ) -> onnxruntime.OrtValue:
        """Run the model on tensors that are on the device, and leave the result there.

        Args:
            inputs: inputs by name.
            small: inputs that are copied to the device, by name.
            constants: as in `run`.
            output: name of the only output to compute.
            out: memory for it; new memory if not given.

        Raises:
            InputError: ONNX Runtime cannot run it, for example for lack of memory.
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
            # Copies to the device, and the computation itself, may be asynchronous.
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
        """Return a session for these constants, and those of them that it takes as inputs."""
        if self.provider != "cpu":
            # Elsewhere preparing a model can take minutes, and saves nothing.
            return self._session, {name: np.array([v], np.float32) for name, v in constants.items()}
        if not constants:
            return self._session, {}
        with self._lock:
            if constants != self._constants:
                content = self._content
                for name, value in constants.items():
                    content = protobuf.with_constant(content, name, value)
                self._specialized, self._constants = self._open(content), dict(constants)
            return self._specialized, {}

    def _open(self, content: bytes) -> onnxruntime.InferenceSession:
        provider, allow_fallback, threads = self._asked
        return open_session(
            content, provider, allow_fallback=allow_fallback, threads=threads, label=str(self.path)
        )
