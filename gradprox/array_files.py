"""Matrices in ``.npy``, ``.npz`` and ``.mat`` files. Nothing in them is ever unpickled."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradprox.arrays import read_npy, read_npz
from gradprox.errors import InputError

ARRAY_SUFFIXES = (".npy", ".npz", ".mat")

# Program of the child process in `_read_mat`.
_MAT_TO_NPZ = """
import sys, numpy, scipy.io
stored = scipy.io.loadmat(sys.argv[1])
arrays = {k: v for k, v in stored.items() if isinstance(v, numpy.ndarray) and v.dtype.kind in "fiub"}
numpy.savez(sys.argv[2], **arrays)
"""


def arrays_in(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the two-dimensional arrays of a file, by name; the one of a ``.npy`` file has the name of the file.

    Raises:
        InputError: the file is missing, damaged, of another kind, or holds objects.
    """
    suffix = path.suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        raise InputError(f"{path}: expected a file {', '.join(ARRAY_SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if suffix == ".npy":
        arrays = {path.stem: read_npy(path)}
    elif suffix == ".npz":
        arrays = read_npz(path)
    else:
        arrays = _without_scalars(_read_mat(path))
    return {name: array for name, array in arrays.items() if array.ndim == 2}


def _without_scalars(arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Leave out 1x1 arrays beside larger ones: MATLAB stores numbers in this form."""
    larger = {name: array for name, array in arrays.items() if array.size > 1}
    return larger or arrays


def _read_mat(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a ``.mat`` file in a process of its own: scipy's reader can crash on a damaged one.

    Raises:
        InputError: that process could not read it.
    """
    if importlib.util.find_spec("scipy") is None:
        raise InputError(f"{path}: .mat files need a further package: pip install scipy, or save a .npz file")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "arrays.npz"
        command = [sys.executable, "-c", _MAT_TO_NPZ, str(path), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["its reader crashed"])[-1]
            raise InputError(f"{path}: not a readable .mat file (MATLAB 4 to 7.2): {reason}")
        return read_npz(copy)
