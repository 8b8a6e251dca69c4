"""A file of compressed measurements, read with numpy alone; `gradprox.physics` makes its operator."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradprox.arrays import read_npz
from gradprox.errors import InputError

# The entries of a sampling that determine the operator, of all that `gradprox sense` writes.
PATTERNS = ("kind", "size", "measurements", "seed")


class Measurements(NamedTuple):
    """A file of compressed measurements.

    Attributes:
        y: the measurements, ``(C, ...)``, as stored.
        sampling: how they were made, the entries of `gradprox.physics.Sampling`, unchecked.
        matrix: the matrix of block measurements, if the file has one, as stored.
    """

    y: NDArray[np.generic]
    sampling: Any
    matrix: NDArray[np.generic] | None


def read_measurement_file(path: str | Path) -> Measurements:
    """Read a file of compressed measurements.

    Raises:
        InputError: the file is missing or damaged, or no file of measurements.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() != ".npz":
        raise InputError(
            f"{path}: not a file of measurements, which `gradprox sense` writes as .npz: restore images by denoise or "
            "deblur"
        )
    arrays = read_npz(path)
    if not {"y", "sampling"} <= arrays.keys():
        raise InputError(
            f"{path}: not a measurement file: expected the arrays y and sampling (see gradprox sense)"
        )
    try:
        sampling = json.loads(str(arrays["sampling"]))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(unknown_sampling(path)) from error
    return Measurements(arrays["y"], sampling, arrays.get("matrix"))


def unknown_sampling(path: str | Path) -> str:
    """Return the message about a sampling that makes no sense."""
    return f"{path}: its sampling is not in the form that gradprox sense writes"


def digest(matrix: NDArray[Any]) -> str:
    """Return the SHA-256 of a matrix in single precision, by which files of exported solvers name theirs."""
    return hashlib.sha256(matrix.astype("<f4").tobytes()).hexdigest()
