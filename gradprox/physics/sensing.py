"""A sampling by name or from a matrix file, and the operator that it stands for: begin here to measure images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from gradprox.array_files import ARRAY_SUFFIXES, arrays_in
from gradprox.errors import InputError, unknown
from gradprox.physics.block_sensing import BLOCK, BlockSensing, gaussian_matrix
from gradprox.physics.cosine_sensing import CosineSensing
from gradprox.physics.fourier_sensing import FourierSensing
from gradprox.physics.hadamard_sensing import HadamardSensing
from gradprox.physics.structured_sensing import StructuredSensing
from gradprox.physics.transform_sensing import TransformSensing
from gradprox.seeds import LARGEST_SEED

# Samplings of the whole image; its size, the number of measurements and a seed determine each.
WHOLE_IMAGE: dict[str, type[HadamardSensing | CosineSensing | FourierSensing | StructuredSensing]] = {
    "hadamard": HadamardSensing,
    "dct": CosineSensing,
    "fourier": FourierSensing,
    "structured": StructuredSensing,
}
SAMPLINGS = (*WHOLE_IMAGE, "block-gaussian")


class Sampling(BaseModel):
    """A description of the measurements that determines the operator, together with its matrix if it has one.

    Attributes:
        kind: ``"hadamard"``, ``"dct"``, ``"fourier"`` or ``"structured"`` coefficients of the whole image,
            ``"block-gaussian"`` or ``"block-matrix"``.
        size: ``(H, W)`` of the image.
        channels: channels of the image, each measured alike.
        measurements: number of measurements of the whole image, or of each block.
        seed: seed of the draw of coefficients or of the Gaussian matrix.
        noise: standard deviation of the noise in the measurements.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["hadamard", "dct", "fourier", "structured", "block-gaussian", "block-matrix"]
    size: tuple[int, int]
    channels: Literal[1, 3] = 1
    measurements: int = Field(ge=1)
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Sensing:
    """A sampling and its matrix.

    Attributes:
        sampling: the description of the measurements.
        matrix: ``(m, b^2)`` of a ``"block-matrix"``, else None.
    """

    sampling: Sampling
    matrix: Tensor | None = None

    @classmethod
    def described(
        cls, description: str, ratio: float, size: tuple[int, int], channels: int, seed: int, noise: float
    ) -> Sensing:
        """Return the sampling of a description: one of `SAMPLINGS` or a matrix file.

        Args:
            description: its name or path.
            ratio: measurements per pixel, in (0, 1]; a matrix file has its own.
            size: ``(H, W)`` of the image.
            channels: channels of the image, 1 or 3.
            seed: seed of the draw of coefficients or of a Gaussian matrix, between 0 and 2^64 - 1.
            noise: standard deviation of the measurement noise.

        Raises:
            InputError: the description is unknown, or an argument is out of its range.
        """
        common: dict[str, Any] = {"size": size, "channels": channels, "seed": seed, "noise": noise}
        if Path(description).suffix.lower() in ARRAY_SUFFIXES:
            matrix = read_matrix(description)
            return cls(_sampling(kind="block-matrix", measurements=len(matrix), **common), matrix)
        if not 0 < ratio <= 1:
            raise InputError(f"the ratio must be above 0 and at most 1, got {ratio:g}")
        if description not in SAMPLINGS:
            raise unknown(
                "sampling", description, SAMPLINGS, f", or give a matrix file ({' '.join(ARRAY_SUFFIXES)})"
            )
        pixels = math.prod(size) if description in WHOLE_IMAGE else BLOCK**2
        return cls(_sampling(kind=description, measurements=max(1, round(ratio * pixels)), **common))

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
            columns and at most as many rows.
    """
    arrays = arrays_in(Path(path))
    if len(arrays) != 1:
        found = f"{len(arrays)} ({', '.join(arrays)})" if arrays else "0"
        raise InputError(f"{path}: expected one two-dimensional array, found {found}")
    (array,) = arrays.values()
    rows, columns = array.shape
    if math.isqrt(columns) ** 2 != columns or not 1 <= rows <= columns:
        raise InputError(
            f"{path}: a sensing matrix has one row per measurement and one column per pixel of a square block "
            f"(1089 for 33x33), got {rows}x{columns}"
        )
    return finite_floats(f"{path}: a sensing matrix", array)


def finite_floats(label: str, array: NDArray[np.generic]) -> Tensor:
    """Return an array as a tensor of float32; messages begin with ``label``.

    Raises:
        InputError: it holds other things than real numbers, or some are not finite in float32.
    """
    if array.dtype.kind not in "fiub":
        raise InputError(f"{label} must hold real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # checked after the cast: 1e300 is finite in double precision only
        values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputError(
            f"{label} must hold finite single-precision numbers; this one has NaN, infinite or larger values"
        )
    return torch.from_numpy(values)


def _sampling(**fields: Any) -> Sampling:
    """Build a sampling, with a one-line error that names the argument."""
    try:
        return Sampling.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}") from error
