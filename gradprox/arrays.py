"""Arrays in ``.npy`` and ``.npz`` files. Nothing in them is ever unpickled."""

from __future__ import annotations

import stat
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError

# What numpy raises on damaged files, found by feeding it some thousands.
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
# What zip archives raise besides, found in the same way. RuntimeError: an archive that says it is encrypted.
_NPZ_ERRORS = (*NUMPY_ERRORS, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npy(path: Path) -> NDArray[np.generic]:
    """Read a ``.npy`` file; objects in it are refused, never unpickled.

    Raises:
        InputError: the file is not a readable array.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except NUMPY_ERRORS as error:
        raise InputError(f"{path}: not a readable .npy array: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: an archive of arrays, not one .npy array")
    return array


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return every array of a ``.npz`` archive, by name.

    Raises:
        InputError: the file is missing, is not such an archive, is damaged, or holds objects, links or names of files
            elsewhere.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if not zipfile.is_zipfile(path):  # numpy would advise to unpickle it
            raise InputError(f"{path}: not a readable .npz archive of arrays")
        # numpy leaves a file open that it cannot read.
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
                        f"{path}: {member.filename!r} in it leads elsewhere: not an archive of arrays"
                    )
            return {name: archive[name] for name in archive.files}
    except _NPZ_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable .npz archive: {error}") from error
