"""What an exported solver undoes: blur with a kernel given at run time, or measurements fixed at export."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.numpy_helper import to_array
from torch import Tensor

from gradprox.errors import InputError
from gradprox.export.graph.blur import BOUNDARIES, GraphBlur
from gradprox.physics import BlockSensing, HadamardSensing


class Operator(Protocol):
    """What of a physics the solvers call."""

    def A(self, x: Tensor) -> Tensor:
        """Measure images."""

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Apply the adjoint."""

    def initial(self, y: Tensor) -> Tensor:
        """Return where to start."""


class Problem(ABC):
    """A kind of measurement, as an exported solver knows it.

    Attributes:
        name: in the metadata of a file.
    """

    name: str

    @abstractmethod
    def operator(self, kernel: Tensor) -> Operator:
        """Return the forward operator; only blur has a use for ``kernel``."""

    @abstractmethod
    def example(self) -> tuple[Tensor, dict[int, str]]:
        """Return measurements of images of three channels to trace with, and the names of their open sizes."""

    @abstractmethod
    def image_sizes(self) -> list[str | int]:
        """Return height and width of images: sizes, or names of open ones."""

    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Return all that is needed to build this problem again."""


@dataclass(frozen=True)
class Deblurring(Problem):
    """Blur with a kernel that is an input of the solver; images of any size.

    Attributes:
        name: the boundary, ``"valid"`` or ``"circular"``.
    """

    name: str

    def operator(self, kernel: Tensor) -> GraphBlur:
        """See `Problem.operator`."""
        return GraphBlur(kernel, self.name)

    def example(self) -> tuple[Tensor, dict[int, str]]:
        """See `Problem.example`."""
        return torch.zeros(2, 3, 12, 13), {0: "batch", 1: "channels", 2: "height", 3: "width"}

    def image_sizes(self) -> list[str | int]:
        """See `Problem.image_sizes`."""
        return ["height", "width"]

    def metadata(self) -> dict[str, str]:
        """See `Problem.metadata`."""
        return {"problem": "deblur", "boundary": self.name}


class Sensing(Problem):
    """Compressed sensing of images of one size, by patterns that become part of the file.

    Args:
        physics: the measurements.
    """

    name = "cs"

    def __init__(self, physics: HadamardSensing | BlockSensing) -> None:
        self.physics = copy.deepcopy(physics).cpu().float()

    def operator(self, kernel: Tensor) -> Operator:  # noqa: ARG002
        """See `Problem.operator`."""
        return cast("Operator", self.physics)

    def example(self) -> tuple[Tensor, dict[int, str]]:
        """See `Problem.example`."""
        return self.physics.A(torch.zeros(2, 3, *self.physics.size)), {0: "batch", 1: "channels"}

    def image_sizes(self) -> list[str | int]:
        """See `Problem.image_sizes`."""
        return list(self.physics.size)

    def metadata(self) -> dict[str, str]:
        """See `Problem.metadata`."""
        described: dict[str, object] = {"size": list(self.physics.size)}
        if isinstance(self.physics, HadamardSensing):
            # The patterns themselves, not how they were drawn: that may change.
            described |= {"kind": "hadamard", "indices": _text(self.physics.indices.numpy().astype("<i8"))}
        else:
            # The graph holds it already.
            described |= {"kind": "block", "matrix_sha256": _digest(self.physics.matrix.numpy())}
        shape = list(self.example()[0].shape[2:])
        described |= {"squared_norm": self.physics.squared_norm(), "measurement_shape": shape}
        return {"problem": "cs", "physics": json.dumps(described)}


def problem_in(metadata: Mapping[str, str], model: ModelProto, label: str) -> Problem:
    """Build the problem that a file's metadata describe; messages call the file ``label``.

    Args:
        metadata: of the file.
        model: the file's, among whose constants is the matrix of block measurements.
        label: what to call the file.

    Raises:
        InputError: they describe none.
    """
    if metadata.get("problem") == "deblur" and metadata.get("boundary") in BOUNDARIES:
        return Deblurring(metadata["boundary"])
    try:
        described = json.loads(metadata["physics"])
        height, width = (int(length) for length in described["size"])
        if described["kind"] == "hadamard":
            indices = torch.from_numpy(_numbers(described["indices"], "<i8").astype(np.int64))
            hadamard = HadamardSensing((height, width), len(indices))
            if not bool(((indices >= 0) & (indices < math.prod(hadamard.padded))).all()):
                raise InputError(f"{label}: describes patterns that do not exist")
            hadamard.indices = indices
            return Sensing(hadamard)
        for tensor in model.graph.initializer:
            if len(tensor.dims) == 2 and _digest(found := to_array(tensor)) == described["matrix_sha256"]:
                return Sensing(BlockSensing(torch.from_numpy(found.copy()), (height, width)))
        raise InputError(f"{label}: lacks the matrix of its measurements")
    except InputError:  # a ValueError too, that says more
        raise
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError(f"{label}: describes no problem that this gradprox knows") from error


def _digest(matrix: NDArray[Any]) -> str:
    return hashlib.sha256(matrix.astype("<f4").tobytes()).hexdigest()


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _numbers(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text, validate=True), kind)
