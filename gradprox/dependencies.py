"""One clear line where a package that gradprox needs is not installed, for example after ``pip install --no-deps``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Packages that are installed by another name than they are imported by.
_INSTALLED_AS = {"PIL": "pillow"}
# gradprox-runtime installs some packages of gradprox, but not this one.
RUNTIME_ONLY = not (Path(__file__).parent / "zoo").is_dir()


@contextmanager
def dependencies() -> Iterator[None]:
    """Say how to install a package that the block cannot import.

    Raises:
        ModuleNotFoundError: a package is missing, or a part of gradprox that gradprox-runtime lacks; the message is
            one line.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or ""
        package = missing.partition(".")[0]
        if missing.startswith("gradprox.") and RUNTIME_ONLY:
            raise ModuleNotFoundError(
                f"{missing} is a part of gradprox, and only gradprox-runtime is installed: install gradprox instead",
                name=missing,
            ) from error
        if package in ("", "gradprox"):
            raise
        name = _INSTALLED_AS.get(package, package)
        raise ModuleNotFoundError(
            f"gradprox needs the package {name}, which is not installed: `pip install {name}`, or install gradprox "
            "again without --no-deps",
            name=error.name,
        ) from error
