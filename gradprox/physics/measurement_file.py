"""Compressed measurements on disk: one ``.npz`` with everything that reconstruction needs, and no image."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from gradprox.arrays import read_npz
from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.physics.array_files import ARRAY_SUFFIXES, arrays_in
from gradprox.physics.block_sensing import BLOCK, BlockSensing, gaussian_matrix
from gradprox.physics.patterns import CosineSensing, FourierSensing, HadamardSensing, StructuredSensing
from gradprox.physics.transform_sensing import TransformSensing

LARGEST_IMAGE = 1 << 26  # pixels

# Samplings of the whole image, each determined by its size, the number of measurements and a seed.
WHOLE_IMAGE: dict[str, type[HadamardSensing | CosineSensing | FourierSensing | StructuredSensing]] = {
    "hadamard": HadamardSensing,
    "dct": CosineSensing,
    "fourier": FourierSensing,
    "structured": StructuredSensing,
}
SAMPLINGS = (*WHOLE_IMAGE, "block-gaussian")


class Sampling(BaseModel):
    """What was measured: with the matrix, if there is one of its own, it determines the operator.

    Attributes:
        kind: ``"hadamard"``, ``"dct"``, ``"fourier"`` or ``"structured"`` coefficients of the whole image,
            ``"block-gaussian"`` or ``"block-matrix"``.
        size: ``(H, W)`` of the image.
        channels: channels of the image, each measured alike.
        measurements: of the whole image, or of each block.
        seed: of the draw of coefficients or of the Gaussian matrix.
        noise: standard deviation of the noise in the measurements.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["hadamard", "dct", "fourier", "structured", "block-gaussian", "block-matrix"]
    size: tuple[int, int]
    channels: Literal[1, 3] = 1
    measurements: int = Field(ge=1)
    seed: int = Field(default=0, ge=0)
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Sensing:
    """A sampling and its matrix.

    Attributes:
        sampling: what is measured.
        matrix: ``(m, b^2)`` of a ``"block-matrix"``, else None.
    """

    sampling: Sampling
    matrix: Tensor | None = None

    @classmethod
    def described(
        cls, description: str, ratio: float, size: tuple[int, int], channels: int, seed: int, noise: float
    ) -> Sensing:
        """Read one of `SAMPLINGS` or a matrix file.

        Args:
            description: its name or path.
            ratio: measurements per pixel, in (0, 1]; a matrix file has its own.
            size: ``(H, W)`` of the image.
            channels: of the image.
            seed: of the draw of coefficients or of a Gaussian matrix.
            noise: standard deviation of the measurement noise.

        Raises:
            InputError: the description is unknown, or the ratio is not in (0, 1].
        """
        common: dict[str, Any] = {"size": size, "channels": channels, "seed": seed, "noise": noise}
        if Path(description).suffix.lower() in ARRAY_SUFFIXES:
            matrix = read_matrix(description)
            return cls(Sampling(kind="block-matrix", measurements=len(matrix), **common), matrix)
        if not 0 < ratio <= 1:
            raise InputError(f"the ratio must be above 0 and at most 1, got {ratio:g}")
        if description not in SAMPLINGS:
            raise InputError(
                f"{description}: not a sampling: write {', '.join(SAMPLINGS)}, or a matrix file "
                f"({' '.join(ARRAY_SUFFIXES)})"
            )
        pixels = math.prod(size) if description in WHOLE_IMAGE else BLOCK**2
        measurements = max(1, round(ratio * pixels))
        return cls(Sampling.model_validate({"kind": description, "measurements": measurements, **common}))

    def physics(self) -> TransformSensing | BlockSensing:
        """Return the operator."""
        sampling = self.sampling
        if sampling.kind in WHOLE_IMAGE:
            return WHOLE_IMAGE[sampling.kind](sampling.size, sampling.measurements, sampling.seed)
        if self.matrix is not None:
            return BlockSensing(self.matrix, sampling.size)
        return BlockSensing(gaussian_matrix(sampling.measurements, sampling.seed), sampling.size)


def read_matrix(path: str | Path) -> Tensor:
    """Read a sensing matrix ``(m, b^2)``, float32, from a file with one two-dimensional array.

    Raises:
        InputError: the file has none or several, or it is not a matrix of finite numbers with a square number of
            columns and no more rows than those.
    """
    arrays = arrays_in(Path(path))
    if len(arrays) != 1:
        raise InputError(f"{path}: expected one two-dimensional array, found {len(arrays)}")
    (array,) = arrays.values()
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise InputError(f"{path}: a sensing matrix holds finite numbers")
    rows, columns = array.shape
    if math.isqrt(columns) ** 2 != columns or not 1 <= rows <= columns:
        raise InputError(
            f"{path}: a sensing matrix has one row a measurement and one column a pixel of a square block "
            f"(1089 for 33x33), got {rows}x{columns}"
        )
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def write_measurements(path: str | Path, y: Tensor, sensing: Sensing) -> None:
    """Write measurements ``(1, C, ...)`` and their sampling, whole or not at all.

    Raises:
        InputError: the suffix is not ``.npz``.
        OSError: the file cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"{path}: measurements are written to a .npz file")
    arrays: dict[str, Any] = {
        "y": y[0].cpu().numpy(),
        "sampling": np.array(sensing.sampling.model_dump_json()),
    }
    if sensing.matrix is not None:
        arrays["matrix"] = sensing.matrix.cpu().numpy()
    with written_whole(path) as temporary:
        np.savez(temporary, **arrays)


def read_measurements(path: str | Path) -> tuple[Tensor, Sensing]:
    """Read what `write_measurements` wrote: ``y`` ``(1, C, ...)`` float32, and the sampling.

    Raises:
        InputError: the file is missing or damaged, or its parts do not fit each other.
    """
    arrays = read_npz(Path(path))
    if not {"y", "sampling"} <= arrays.keys():
        raise InputError(
            f"{path}: not a measurement file: expected the arrays y and sampling (see gradprox sense)"
        )
    try:
        sampling = Sampling.model_validate(json.loads(str(arrays["sampling"])))
    except (json.JSONDecodeError, ValidationError) as error:
        raise InputError(f"{path}: its sampling is not what gradprox sense writes") from error
    y = arrays["y"]
    if y.dtype.kind != "f" or not np.isfinite(y).all():
        raise InputError(f"{path}: the measurements must be finite numbers")
    if min(sampling.size) < 1 or math.prod(sampling.size) > LARGEST_IMAGE:
        raise InputError(f"{path}: an image of {sampling.size[0]}x{sampling.size[1]} pixels is out of range")
    matrix = _stored_matrix(path, arrays.get("matrix"), sampling)
    block = BLOCK if matrix is None else math.isqrt(matrix.shape[1])
    blocks = math.prod(math.ceil(side / block) for side in sampling.size)
    whole = sampling.kind in WHOLE_IMAGE
    per_channel = (sampling.measurements,) if whole else (blocks, sampling.measurements)
    if y.shape != (sampling.channels, *per_channel):
        raise InputError(f"{path}: {y.shape} measurements do not fit its sampling")
    return torch.from_numpy(y.astype(np.float32))[None], Sensing(sampling, matrix)


def _stored_matrix(path: str | Path, stored: NDArray[np.generic] | None, sampling: Sampling) -> Tensor | None:
    if sampling.kind != "block-matrix":
        return None
    if stored is None or stored.ndim != 2 or stored.dtype.kind != "f" or not np.isfinite(stored).all():
        raise InputError(f"{path}: its matrix is missing or holds no finite numbers")
    rows, columns = stored.shape
    if rows != sampling.measurements or columns < 1 or math.isqrt(columns) ** 2 != columns:
        raise InputError(f"{path}: its matrix, {rows}x{columns}, does not fit its sampling")
    return torch.from_numpy(stored.astype(np.float32))
