"""One clear line where a package that gradprox needs is not installed, for example after ``pip install --no-deps``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Packages that are installed by another name than they are imported by.
_INSTALLED_AS = {"PIL": "pillow"}


@contextmanager
def dependencies() -> Iterator[None]:
    """Say how to install a package that the block cannot import.

    Raises:
        ModuleNotFoundError: a package is missing; the message is one line.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "gradprox"):
            raise
        name = _INSTALLED_AS.get(package, package)
        raise ModuleNotFoundError(
            f"gradprox needs the package {name}, which is not installed: `pip install {name}`, or install gradprox "
            "again without --no-deps",
            name=error.name,
        ) from error
