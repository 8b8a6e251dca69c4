"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The errors of writing where there is no room.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, else remove it.

    A crash, a full disk or Ctrl-C leaves no partial file at ``path``, and keeps a file that was there before. The
    temporary name has the suffix of ``path``, because libraries choose the format by it.

    Raises:
        OSError: ``path`` is a folder, a device or a pipe, or its folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "is a file, not a folder", str(path.parent)) from error
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    if is_stream(path):
        raise OSError(errno.EINVAL, "is a device or a pipe, not a file", str(path))
    temporary = path.with_name(f".{_short_stem(path)}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # follows the user's umask; some writers make files private
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        # A full disk is told without a name, and a name that nobody chose would tell nobody anything.
        if error.errno in _FULL or str(error.filename) == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; rename it to ``path`` if the block succeeds, else remove it.

    Args:
        path: the folder.
        replace: whether a folder that was there before is removed then; else it is an error.

    Raises:
        OSError: ``path`` exists and must not be replaced, or cannot be made or written.
    """
    path = Path(path)
    if path.exists() and not (replace and path.is_dir()):
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{_short_stem(path)}.{secrets.token_hex(4)}.part")
    before = temporary.with_suffix(".old")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(before)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def _short_stem(path: Path) -> str:
    """Return as much of the stem as leaves room for the rest of a temporary name: file systems allow 255 bytes."""
    room = 255 - len(f"..01234567.part{path.suffix}".encode())
    return path.stem.encode()[:room].decode(errors="ignore")


def remove_leftovers(paths: Collection[Path]) -> None:
    """Remove temporary files that killed processes left beside ``paths``. No process may be writing ``paths``."""
    wanted = {path.with_name(_short_stem(path) + path.suffix) for path in paths}
    for folder in {path.parent for path in paths}:
        for found in folder.iterdir() if folder.is_dir() else ():
            match = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.part(\.\w+)?", found.name)
            if match and found.with_name(match[1] + (match[2] or "")) in wanted:
                found.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether a path names a device or a pipe, for example ``/dev/null``: a file must not take its place."""
    return path.exists() and not (path.is_file() or path.is_dir())


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, or to a device or a pipe.

    Raises:
        OSError: the folder cannot be made or written.
    """
    text = json_text(content) + "\n"
    if is_stream(Path(path)):
        Path(path).write_text(text, encoding="utf-8")
        return
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent=1)
