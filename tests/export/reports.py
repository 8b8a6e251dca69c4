"""The reports that exported files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gradprox.export import verify
from gradprox.export.runtime import OnnxSolver


def report_in(path: Path) -> dict[str, Any]:
    """Return the report of the verification of a solver file."""
    stated: dict[str, Any] = json.loads(OnnxSolver(path, threads=1).metadata["report"])
    return stated


def verified_again(path: Path) -> dict[str, Any]:
    """Return the report of a new verification, in the same form."""
    found: dict[str, Any] = json.loads(verify(path).to_json())
    return found
