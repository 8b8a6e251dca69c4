"""Compressed measurements on disk: one ``.npz`` with all that reconstruction needs, and no image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.measurements import read_measurement_file, unknown_sampling
from gradprox.physics.block_sensing import BLOCK
from gradprox.physics.sensing import WHOLE_IMAGE, Sampling, Sensing, finite_floats

LARGEST_IMAGE = 1 << 26  # pixels


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
    """Read the measurements ``y``, ``(1, C, ...)`` of float32, and the sampling from a file of `write_measurements`.

    Raises:
        InputError: the file is missing or damaged, or its parts do not fit each other.
    """
    found = read_measurement_file(path)
    try:
        sampling = Sampling.model_validate(found.sampling)
    except (ValidationError, RecursionError) as error:
        raise InputError(unknown_sampling(path)) from error
    if min(sampling.size) < 1 or math.prod(sampling.size) > LARGEST_IMAGE:
        raise InputError(f"{path}: an image of {sampling.size[0]}x{sampling.size[1]} pixels is out of range")
    matrix = _stored_matrix(path, found.matrix, sampling)
    block = BLOCK if matrix is None else math.isqrt(matrix.shape[1])
    blocks = math.prod(math.ceil(side / block) for side in sampling.size)
    whole = sampling.kind in WHOLE_IMAGE
    per_channel = (sampling.measurements,) if whole else (blocks, sampling.measurements)
    if found.y.shape != (sampling.channels, *per_channel):
        raise InputError(f"{path}: {found.y.shape} measurements do not fit its sampling")
    return finite_floats(f"{path}: a measurement file", found.y)[None], Sensing(sampling, matrix)


def _stored_matrix(path: str | Path, stored: NDArray[np.generic] | None, sampling: Sampling) -> Tensor | None:
    if sampling.kind != "block-matrix":
        return None
    if stored is None or stored.ndim != 2:
        raise InputError(f"{path}: its matrix is missing")
    rows, columns = stored.shape
    if rows != sampling.measurements or columns < 1 or math.isqrt(columns) ** 2 != columns:
        raise InputError(f"{path}: its matrix, {rows}x{columns}, does not fit its sampling")
    return finite_floats(f"{path}: a sensing matrix", stored)
