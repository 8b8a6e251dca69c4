"""``gradprox export``: a model, or a whole solver, as a verified ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradprox.cli import options
from gradprox.cli.verify import print_report
from gradprox.errors import InputError


def export(
    model: Annotated[
        str, typer.Argument(help="A shipped model, or a .safetensors file.", show_default=False)
    ],
    output: Annotated[Path, typer.Argument(help="The .onnx file to write.", show_default=False)],
    solver: Annotated[
        str | None,
        typer.Option(help="pgd or gd: export this solver with the model in it.", show_default=False),
    ] = None,
    problem: Annotated[str, typer.Option(help="What the solver undoes: deblur.")] = "deblur",
    boundary: options.Boundary = "valid",
    potential: Annotated[
        bool, typer.Option("--potential", help="Add the convex potential as an output of the model.")
    ] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Export a model to ONNX, and verify that it is the same function.

    The file runs anywhere ONNX Runtime does, without torch.

    Examples: gradprox export gray denoiser.onnx; gradprox export gray deblur.onnx --solver pgd
    """
    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: the name must end in .onnx")
    if output.exists() and not overwrite:
        raise InputError(f"{output}: exists already: add --overwrite to replace it")
    if solver and potential:
        raise InputError("--potential is for models; a solver returns its objective anyway")

    from gradprox.export import export_denoiser, export_solver

    if solver:
        report = export_solver(problem, solver, model, output, boundary=boundary)
    else:
        report = export_denoiser(model, output, potential=potential)
    print_report(output, report, quiet=quiet, json=json)
