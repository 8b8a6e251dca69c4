"""The format of exported files: an ordinary ONNX model with metadata, which ends with a checksum of itself.

The metadata are entries of ``metadata_props`` whose keys begin with ``gradprox.``: the kind of model, its certificate,
its verification report, and more. The last entry is the SHA-256 of every byte before it. The parser of ONNX Runtime is
written in C++, and not meant for hostile input. So a truncated or changed file is refused before ONNX Runtime reads it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from gradprox.errors import InputError
from gradprox.export.runtime import protobuf

FORMAT_NAME, FORMAT_VERSION = "gradprox-onnx", 1
# Precisions of a model: float16 is a rounded copy.
PRECISIONS = ("float32", "float16")
PREFIX = "gradprox."  # as `gradprox.priors.onnx_weights.PREFIX`, which needs torch
_SEAL = PREFIX + "sha256"
# Protobuf, and with it ONNX Runtime, stops at 2 GiB.
_LARGEST = 2**31 - 1


def seal(model: bytes) -> bytes:
    """Return a serialized model with its checksum appended."""
    return model + _seal_of(model)


def read(path: str | Path) -> tuple[bytes, dict[str, str]]:
    """Read a file and check it.

    Returns:
        The bytes of the model, and its ``gradprox.`` metadata without that prefix.

    Raises:
        InputError: the file is missing or cannot be read; it is not ONNX, or truncated or damaged; it was not exported
            by gradprox, or by a newer version, or was changed since; or it keeps tensors in other files.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such model file")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: larger than the 2 GiB an ONNX file can have")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        everything = protobuf.metadata(memoryview(content))
        elsewhere = protobuf.has_external_data(memoryview(content))
    except ValueError as error:
        raise InputError(f"{path}: not an ONNX file, or a truncated or damaged one") from error
    found = {key[len(PREFIX) :]: value for key, value in everything.items() if key.startswith(PREFIX)}
    if elsewhere:
        raise InputError(f"{path}: keeps tensors in other files; a model exported by gradprox is one file")
    _check_format(path, found.get("format", ""))
    seal_length = len(_seal_of(b""))
    if content[-seal_length:] != _seal_of(content[:-seal_length]):
        raise InputError(
            f"{path}: does not match its checksum: truncated, damaged or changed since it was exported"
        )
    return content, found


def _check_format(path: Path, name: str) -> None:
    match = re.fullmatch(rf"{FORMAT_NAME}-(\d{{1,9}})", name)
    if match is None:
        raise InputError(f"{path}: not a model exported by gradprox")
    if int(match[1]) != FORMAT_VERSION:
        raise InputError(
            f"{path}: its format is {name}, and this version of gradprox reads {FORMAT_NAME}-{FORMAT_VERSION}: "
            + ("update gradprox" if int(match[1]) > FORMAT_VERSION else "export the model again")
        )


def _seal_of(model: bytes) -> bytes:
    key, digest = (text.encode() for text in (_SEAL, hashlib.sha256(model).hexdigest()))
    return protobuf.delimited(protobuf.METADATA, protobuf.delimited(1, key) + protobuf.delimited(2, digest))
