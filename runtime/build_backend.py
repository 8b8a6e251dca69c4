"""The build of gradprox-runtime (PEP 517): the selected modules are put together in ``src``, then setuptools builds.

In a checkout, that happens in a temporary folder. A source distribution contains ``src``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from selection import copy_selected
from setuptools import build_meta

HERE = Path(__file__).resolve().parent


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    """Build a wheel; return its name."""
    target = os.path.abspath(wheel_directory)
    with _assembled():
        return build_meta.build_wheel(target, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """Build a source distribution; return its name."""
    target = os.path.abspath(sdist_directory)
    with _assembled():
        return build_meta.build_sdist(target, config_settings)


@contextmanager
def _assembled() -> Iterator[None]:
    """Work in a folder that holds ``src`` and all else that setuptools needs."""
    if (HERE / "src").is_dir():
        yield
        return
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        for file in (*HERE.iterdir(), HERE.parent / "LICENSE"):
            if file.is_file():
                shutil.copy(file, folder)
        copy_selected(HERE.parent, Path(folder, "src"))
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
