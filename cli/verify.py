"""``gradprox verify``: is an exported file what it claims to be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options

if TYPE_CHECKING:
    from gradprox.export import Report


def verify(
    file: Annotated[Path, typer.Argument(help="A file written by `gradprox export`.", show_default=False)],
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Verify an exported ONNX file by itself.

    Legal ONNX, the same function as the network it carries, its Jacobian symmetric and without negative eigenvalues.
    Of a model that iterates: its results minimize the network's objective, to the tolerance it states. An int8 file
    claims less: it is verified to be as near to its network as it should be, and said to be UNCERTIFIED.

    Example: gradprox verify denoiser.onnx
    """
    from gradprox.export import verify as examine

    print_report(file, examine(file), quiet=quiet, json=json)


def print_report(file: Path, report: Report, *, quiet: bool, json: Path | None) -> None:
    """Print a report, and write it as JSON where asked to."""
    import json as codec

    from gradprox.files import write_json

    if json:
        write_json(json, {"file": str(file), "verified": True, "report": codec.loads(report.to_json())})
    if not report.certified:
        typer.echo(f"{file}: UNCERTIFIED: no proximal operator, and refused as a prior", err=True)
    if not quiet:
        typer.echo(f"{file}: verified{'' if report.certified else ', but UNCERTIFIED'}\n{report}")
