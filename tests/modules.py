"""The packages and modules of gradprox, found in the folders of the repository."""

from __future__ import annotations

from tests.printed import ROOT

# The folders of the repository and the packages they install as.
FOLDERS = {
    "gradprox": "gradprox",
    "solvers": "gradprox.solvers",
    "export": "gradprox.export",
    "cli": "gradprox.cli",
    "web": "gradprox.web",
}


def modules_of_packages() -> dict[str, list[str]]:
    """Return the names of the modules of each package, by the name of the package."""
    found: dict[str, list[str]] = {}
    for folder, root in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            package = ".".join([root, *path.parent.relative_to(ROOT / folder).parts])
            modules = found.setdefault(package, [])
            if path.stem not in ("__init__", "__main__"):  # the latter runs the command line
                modules.append(f"{package}.{path.stem}")
    return found
