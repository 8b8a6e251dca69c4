"""The modules of the repository that gradprox-runtime installs: all that need no torch, for its commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

ALL = ("*",)
# Packages: their folders in the repository, and the modules that are installed.
PACKAGES = {
    "gradprox": (
        "gradprox",
        (
            *(
                "__init__",
                "_version",
                "array_files",
                "arrays",
                "dependencies",
                "errors",
                "files",
                "measurements",
                "memory",
            ),
            *("noise_rule", "processors", "scales", "status"),
        ),
    ),
    "gradprox.cli": (
        "cli",
        (
            *(
                "__init__",
                "entry",
                "frames",
                "groups",
                "jobs",
                "linear_light",
                "meter",
                "noise_levels",
                "option_values",
                "options",
                "paths",
            ),
            *("ray_workers", "terminal", "time_left", "timing", "unfinished", "workers"),
        ),
    ),
    "gradprox.cli.runtime": ("cli/runtime", ALL),
    "gradprox.exported_models": ("gradprox/exported_models", ALL),
    "gradprox.export": ("export", ("__init__",)),
    "gradprox.export.runtime": ("export/runtime", ALL),
    "gradprox.images": ("gradprox/images", ALL),
    "gradprox.kernels": ("gradprox/kernels", ALL),
}
# Other files, by package.
DATA = {"gradprox": "py.typed", "gradprox.images": "example.png", "gradprox.exported_models": "*.onnx"}


def selected_modules(repository: Path) -> Iterator[tuple[str, Path]]:
    """Yield the package and the file of each module."""
    for package, (folder, modules) in PACKAGES.items():
        for module in modules:
            for file in sorted((repository / folder).glob(f"{module}.py")):
                yield package, file


def copy_selected(repository: Path, target: Path) -> None:
    """Copy the modules and the other files to where their packages are in ``target``."""
    for package, file in selected_modules(repository):
        _copy(file, target.joinpath(*package.split("."), file.name))
    for package, pattern in DATA.items():
        folder = repository / PACKAGES[package][0]
        for file in sorted(folder.glob(pattern)):
            _copy(file, target.joinpath(*package.split("."), file.relative_to(folder)))


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
