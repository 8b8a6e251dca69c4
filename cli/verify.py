"""``gradprox verify``: check an exported file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli.groups import Report
from gradprox.cli.paths import exported_file
from gradprox.cli.terminal import doing

if TYPE_CHECKING:
    from gradprox.export import Report as Verification


def verify(
    file: Annotated[
        Path, typer.Argument(help="A file or a folder that `gradprox export` wrote.", show_default=False)
    ],
    *,
    report: Report,
) -> None:
    """Verify an exported ONNX file.

    The file must be legal ONNX, and compute the same function as the network or the solver that it contains. The
    Jacobian of a model must be symmetric and, for a proximal operator, must have no negative eigenvalue. The results
    of a model that iterates must minimize its objective to the tolerance that the file states. The exit code is 1 if a
    check fails.

    Example:
      gradprox verify denoiser.onnx
    """
    file = exported_file(file)
    from gradprox.export import verify as examine

    with doing(file.name, report.quiet) as show:
        found = examine(file, show)
    print_report(file, found, report)


def print_report(file: Path, found: Verification, report: Report) -> None:
    """Print the result of a verification, and write it as JSON if asked to."""
    report.write({"file": str(file), "verified": True, "report": json.loads(found.to_json())})
    report.print(f"{file}: verified\n{found}", markup=False)
