"""Arrays in ``.npy`` and ``.npz`` files, read without unpickling."""

from __future__ import annotations

import stat
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError

# The errors that numpy raises on damaged files, found by trying thousands of them.
NUMPY_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
)
# The further errors of damaged archives. RuntimeError: an archive that claims to be encrypted.
_NPZ_ERRORS = (*NUMPY_ERRORS, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npy(path: Path) -> NDArray[np.generic]:
    """Read a ``.npy`` file. Files of Python objects are refused.

    Raises:
        InputError: the file is not a readable array, or it holds objects or several arrays.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except NUMPY_ERRORS as error:
        raise InputError(f"{path}: not a readable .npy array: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: an archive of arrays, not one .npy array")
    return array


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a ``.npz`` archive and return its arrays by name.

    Raises:
        InputError: the file is missing, damaged or not such an archive, or a member is an object, a link or has a path
            that leads out of the archive.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if not zipfile.is_zipfile(path):  # for such files numpy suggests to allow pickle
            raise InputError(f"{path}: not a readable .npz archive of arrays")
        # numpy does not close a file that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: one array, not an archive of arrays")
            for member in archive.zip.infolist() if archive.zip else ():
                kind = member.external_attr >> 16
                if (
                    stat.S_ISLNK(kind)
                    or ".." in Path(member.filename).parts
                    or member.filename.startswith("/")
                ):
                    raise InputError(
                        f"{path}: the path of its member {member.filename!r} leads out of the archive"
                    )
            return {name: archive[name] for name in archive.files}
    except _NPZ_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable .npz archive: {error}") from error
