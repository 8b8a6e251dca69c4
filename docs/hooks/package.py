"""Assemble the package for mkdocstrings: one namespace from the folders that pyproject.toml maps."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
# Kept until the interpreter ends, because pages are rendered after `on_config` has returned.
_assembled = tempfile.TemporaryDirectory(prefix="gradprox-docs-")


@event_priority(50)  # before mkdocstrings reads its settings
def on_config(config: Any) -> None:
    """Link the folders into one, and add it to the paths of the reference."""
    mapped = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders: dict[str, str] = mapped["tool"]["setuptools"]["package-dir"]
    for name, folder in sorted(folders.items()):
        target = Path(_assembled.name, *name.split("."))
        target.mkdir(parents=True, exist_ok=True)
        for item in (ROOT / folder).iterdir():
            link = target / item.name
            if not link.exists():
                link.symlink_to(item, target_is_directory=item.is_dir())
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_assembled.name]
