"""The report of a verification, and the error of a failed one."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from gradprox.errors import InputError
from gradprox.export.runtime.providers import SESSION_ERRORS, one_line

# Receives what is being done, in words.
Progress = Callable[[str], None]


def silent(doing: str) -> None:
    """Show no progress."""


class VerificationError(InputError):
    """An exported model is not the function that it should be."""


def versions() -> dict[str, str]:
    """Return the versions of the libraries that a report depends on."""
    return {"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


@dataclass(frozen=True, kw_only=True)
class Report(ABC):
    """Figures of a verified model.

    Attributes:
        compared: the meaning of ``error``, in words.
        cases: number of comparisons of ONNX Runtime with torch in double precision.
        error: the largest error of all comparisons. An error of an image is relative to the largest input pixel.
        error_at: the comparison with that error.
        error_tolerance: the largest legal error.
        made_with: versions of the libraries.
    """

    compared: ClassVar[str] = "error against float64 torch"

    cases: int
    error: float
    error_at: str
    error_tolerance: float
    made_with: dict[str, str] = field(default_factory=versions)

    @abstractmethod
    def further_rows(self) -> list[tuple[str, str, str]]:
        """Return the checks beside the comparison of images, in the form of `rows`."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Return one row of text per check: its name, its figure and its limit."""
        name = f"{self.compared}, {self.cases} cases"
        return [(name, f"{self.error:.1e}", f"at most {self.error_tolerance:g}"), *self.further_rows()]

    def to_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps({"compared": self.compared, **asdict(self)})

    def __str__(self) -> str:
        return "\n".join(f"{name:<42} {value:>9}  ({limit})" for name, value, limit in self.rows())


def check_legal(model: ModelProto) -> None:
    """Raise `VerificationError` if the model is not legal ONNX."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, UnicodeDecodeError) as error:
        raise VerificationError(f"it is not legal ONNX: {one_line(error)}") from error


def run(session: onnxruntime.InferenceSession, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the outputs of a model; raise `VerificationError` if it cannot be run."""
    try:
        return list(session.run(None, inputs))
    except SESSION_ERRORS as error:
        raise VerificationError(f"ONNX Runtime cannot run it: {one_line(error)}") from error


def demand(holds: bool, otherwise: str) -> None:
    """Raise `VerificationError` with the message ``otherwise`` unless ``holds``."""
    if not holds:
        raise VerificationError(otherwise)
