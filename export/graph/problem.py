"""The kinds of measurement that an exported solver can invert.

`Deblurring` takes its kernel at run time. `Sensing` has patterns that become part of the file.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from gradprox.errors import InputError
from gradprox.export.graph.blur import BOUNDARIES, GraphBlur
from gradprox.export.graph.equations import Equations, SensingEquations
from gradprox.export.graph.fourier_blur import FourierBlur, Spectrum, valid_squared_norm
from gradprox.export.graph.mirrored_blur import Cosines, MirroredBlur, is_mirror_image
from gradprox.measurements import PATTERNS, digest
from gradprox.physics import BlockSensing, HadamardSensing, Sampling
from gradprox.physics import Sensing as DescribedSensing
from gradprox.physics.contract import Physics
from gradprox.physics.convolution_fit import MOST_ITERATIONS
from gradprox.solvers.least_squares import FIT_ITERATIONS

# What the preconditioner of a valid blur needs: the numbers of hidden lines, and the inverses for them.
BORDERS = ("row_numbers", "column_numbers", "row_inverse", "column_inverse")


class Problem(ABC):
    """A kind of measurement.

    Attributes:
        name: how the metadata of a file call it.
        known: the names of the tensors, computed once, that `equations` is built from.
        exact: the forward operator in double precision, where it is a part of the file.
        fit_iterations: the most iterations of conjugate gradients in a fit.
        borders: the names of further tensors that `Equations.precondition` takes, which depend on the weight of a fit.
    """

    name: str
    known: tuple[str, ...] = ()
    exact: nn.Module | None = None
    fit_iterations: int = FIT_ITERATIONS
    borders: tuple[str, ...] = ()

    def transform(self, x: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Return the values of `known` but the kernel, for images of the size of ``x``."""
        return ()

    def closed_here(self, kernel: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return whether the closed form of fits holds for a kernel, a bool scalar; None where no kernel matters."""
        return None

    @abstractmethod
    def equations(self, known: tuple[Tensor, ...]) -> Equations:
        """Return the forward operator in double precision, with the equations of its least-squares fits."""

    @abstractmethod
    def squared_norm(self, x: Tensor, known: tuple[Tensor, ...]) -> Tensor:
        """Return the bound of ``|A|^2`` of `gradprox.physics`, a scalar, for images of the size of ``x``.

        With a symmetric boundary this holds only where the closed form of fits does.
        """

    @abstractmethod
    def operator(self, kernel: Tensor) -> Physics:
        """Return the forward operator; only blur uses ``kernel``."""

    @abstractmethod
    def extended(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return an image in the frame of the result, extended to the size of the unknown image."""

    @abstractmethod
    def example(self) -> tuple[Tensor, dict[int, str]]:
        """Return measurements of three-channel images to trace with, and the names of the sizes that may vary."""

    @abstractmethod
    def image_sizes(self) -> list[str | int]:
        """Return height and width of images: numbers, or names where they may vary."""

    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Return the entries from which `problem_in` builds this problem again."""


@dataclass(frozen=True)
class Deblurring(Problem):
    """Blur with a kernel that is an input of the solver; images of any size.

    Attributes:
        name: the boundary, one of `BOUNDARIES`.
    """

    name: str

    @property
    def known(self) -> tuple[str, ...]:  # type: ignore[override]  # it depends on the boundary
        """See `Problem.known`."""
        return "kernel", *self._transform._fields

    def transform(self, x: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:
        """See `Problem.transform`."""
        return self._transform.of(kernel, x.shape[-2], x.shape[-1])

    @property
    def fit_iterations(self) -> int:  # type: ignore[override]  # it depends on the boundary
        """See `Problem.fit_iterations`: mirrored borders have no preconditioner."""
        return FIT_ITERATIONS if self.name == "symmetric" else MOST_ITERATIONS

    @property
    def borders(self) -> tuple[str, ...]:  # type: ignore[override]  # it depends on the boundary
        """See `Problem.borders`."""
        return BORDERS if self.name == "valid" else ()

    def closed_here(self, kernel: Tensor) -> Tensor | None:
        """See `Problem.closed_here`."""
        return is_mirror_image(kernel) if self.name == "symmetric" else None

    def equations(self, known: tuple[Tensor, ...]) -> FourierBlur | MirroredBlur:
        """See `Problem.equations`."""
        kernel, *values = known
        if self.name == "symmetric":
            return MirroredBlur(kernel, Cosines(*values))
        return FourierBlur(kernel, self.name, Spectrum(*values))

    def squared_norm(self, x: Tensor, known: tuple[Tensor, ...]) -> Tensor:
        """See `Problem.squared_norm`."""
        kernel, *values = known
        if self.name == "symmetric":
            return Cosines(*values).response.abs().max().square()
        if self.name == "circular":
            return Spectrum(*values).gains().max()
        return valid_squared_norm(kernel, x.shape[-2], x.shape[-1])

    @property
    def _transform(self) -> type[Spectrum] | type[Cosines]:
        return Cosines if self.name == "symmetric" else Spectrum

    def operator(self, kernel: Tensor) -> GraphBlur:
        """See `Problem.operator`."""
        return GraphBlur(kernel, self.name)

    def extended(self, x: Tensor, kernel: Tensor) -> Tensor:
        """See `Problem.extended`; the photo itself is extended in the same way."""
        return self.operator(kernel).initial(x)

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
    """Compressed sensing of images of one size, with patterns that become part of the file.

    Args:
        physics: the measurements.
        sampling: the draw of their patterns, by which a file of measurements is told to fit.
    """

    name = "cs"

    def __init__(self, physics: HadamardSensing | BlockSensing, sampling: Sampling | None = None) -> None:
        self.sampling = sampling
        self.physics = copy.deepcopy(physics).cpu().float()
        self.exact: HadamardSensing | BlockSensing = copy.deepcopy(self.physics).double()

    def equations(self, known: tuple[Tensor, ...]) -> SensingEquations:  # noqa: ARG002
        """See `Problem.equations`."""
        return SensingEquations(self.exact)

    def squared_norm(self, x: Tensor, known: tuple[Tensor, ...]) -> Tensor:  # noqa: ARG002
        """See `Problem.squared_norm`."""
        return torch.full((), self.exact.squared_norm(), dtype=torch.float64)

    def operator(self, kernel: Tensor) -> Physics:  # noqa: ARG002
        """See `Problem.operator`."""
        return self.physics

    def extended(self, x: Tensor, kernel: Tensor) -> Tensor:  # noqa: ARG002
        """See `Problem.extended`."""
        return x

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
            # The patterns themselves: the way they are drawn from a seed may change.
            described |= {"kind": "hadamard", "indices": _text(self.physics.indices.numpy().astype("<i8"))}
        else:
            # Only a digest: the matrix is a constant of the graph.
            described |= {"kind": "block", "matrix_sha256": digest(self.physics.matrix.numpy())}
        shape = list(self.example()[0].shape[2:])
        described |= {"squared_norm": self.physics.squared_norm(), "measurement_shape": shape}
        if self.sampling is not None:
            stated = self.sampling.model_dump(mode="json")
            described["sampling"] = {key: stated[key] for key in PATTERNS}
        return {"problem": "cs", "physics": json.dumps(described)}


def problem_in(metadata: Mapping[str, str], model: ModelProto, label: str) -> Problem:
    """Return the problem that the metadata of a file describe.

    Args:
        metadata: the metadata of the file.
        model: the model in the file; its constants include the matrix of block measurements.
        label: the name of the file in messages.

    Raises:
        InputError: the metadata describe no problem.
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
                raise InputError(f"{label}: its metadata describe patterns that do not exist")
            hadamard.indices = indices
            return Sensing(hadamard, _sampling_in(described, hadamard, label))
        for tensor in model.graph.initializer:
            if len(tensor.dims) == 2 and digest(found := to_array(tensor)) == described["matrix_sha256"]:
                blocks = BlockSensing(torch.from_numpy(found.copy()), (height, width))
                return Sensing(blocks, _sampling_in(described, blocks, label))
        raise InputError(f"{label}: the graph lacks the matrix of its measurements")
    except InputError:  # which is a ValueError, with a better message
        raise
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError(
            f"{label}: its metadata describe no problem that this version of gradprox knows"
        ) from error


def _sampling_in(
    described: dict[str, Any], physics: HadamardSensing | BlockSensing, label: str
) -> Sampling | None:
    """Return the draw of the patterns that a file states, if it states one.

    Raises:
        InputError: these are other patterns.
    """
    if "sampling" not in described:
        return None
    sampling = Sampling.model_validate(described["sampling"])
    if sampling.kind == "block-matrix":  # the digest of the matrix says which one
        return sampling
    drawn = DescribedSensing(sampling).physics()
    same = type(drawn) is type(physics) and all(
        torch.equal(a, b) for a, b in zip(drawn.buffers(), physics.buffers(), strict=True)
    )
    if not same:
        raise InputError(f"{label}: its patterns are not those of the sampling that it states")
    return sampling


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _numbers(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text, validate=True), kind)
