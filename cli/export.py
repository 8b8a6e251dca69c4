"""``gradprox export``: a model, or a whole solver, as a verified ONNX file."""

from __future__ import annotations

import math
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import option_values, options
from gradprox.cli.groups import Report
from gradprox.cli.model_choice import check_model, complete_models
from gradprox.cli.paths import check_absent
from gradprox.cli.terminal import doing
from gradprox.cli.verify import print_report
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.physics import Sensing

# Pixels, for example 4096x4096: ONNX Runtime then takes about 32 GB with 64 filters.
LARGEST = 2**24
# The solvers and the problems that can be exported.
SOLVERS, PROBLEMS = ("hqs", "fista", "nmapg", "pgd", "gd"), ("deblur", "cs")
SAMPLINGS = ("hadamard", "block-gaussian")
BOUNDARY, SAMPLING, RATIO, SEED = "valid", "hadamard", 0.25, 0
LAYOUTS = ("triton", "hub")


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="A shipped model, or a .safetensors file. With --layout also an .onnx file that was exported before.",
            show_default=False,
            autocompletion=complete_models,
        ),
    ],
    output: Annotated[
        Path, typer.Argument(help="The .onnx file to write; with --layout, a folder.", show_default=False)
    ],
    solver: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Solver after the warm start, as in gradprox deblur and recover: hqs, fista, nmapg, pgd or gd. The "
            "default is theirs: hqs for deblur, fista for cs, or hqs for cs with gray-deep and color-deep. fista and "
            "pgd need a proximal operator, which these two are not.",
            show_default=False,
            autocompletion=options.completed(SOLVERS),
        ),
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Export a solver for this task instead of the model alone: deblur, or cs for compressed sensing.",
            show_default="deblur if --solver is given",
            autocompletion=options.completed(PROBLEMS),
        ),
    ] = None,
    boundary: options.Boundary = BOUNDARY,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="For cs: height and width of the images, for example 256x256.",
            show_default=False,
        ),
    ] = None,
    sampling: Annotated[
        str,
        typer.Option(
            autocompletion=options.completed(SAMPLINGS),
            metavar="NAME",
            help="For cs, as in gradprox sense: hadamard, block-gaussian, or a .npy, .npz or .mat file with a matrix "
            "for square blocks.",
        ),
    ] = SAMPLING,
    ratio: options.Ratio = RATIO,
    seed: options.Seed = SEED,
    potential: Annotated[
        bool,
        typer.Option(
            "--potential",
            help="Add the potential of the model as an output; solvers need it for their objective.",
        ),
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Precision of a model: float32; or float16, a rounded copy for GPUs, for models that do not iterate.",
        ),
    ] = "float32",
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Write a folder instead of a file. triton: a model repository of the Triton Inference Server, to "
            "which the model is added. hub: for a model hub, with model card, weights and recipe.",
            show_default=False,
            autocompletion=options.completed(LAYOUTS),
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    *,
    report: Report,
) -> None:
    """Export a model, or a solver with its model, to a verified ONNX file.

    The file runs wherever ONNX Runtime does, without torch. With --problem it holds the preset that gradprox deblur or
    recover runs with this model: warm start, solver, line search and stopping rule. gray-deep and color-deep are the
    default models of these commands.

    Examples:
      gradprox export gray denoiser.onnx
      gradprox export gray half.onnx --precision float16
      gradprox export gray-deep deblur.onnx --problem deblur
      gradprox export color-deep deblur-color.onnx --problem deblur
      gradprox export gray-deep deblur-nmapg.onnx --problem deblur --solver nmapg
      gradprox export gray-deep recover.onnx --problem cs --size 256x256 --ratio 0.25
      gradprox export gray-deep models --problem deblur --layout triton
    """
    if layout is not None:
        option_values.check_choice("--layout", layout, LAYOUTS)
        if output.is_file():
            raise InputError(f"{output}: is a file, and --layout needs a folder")
        if layout == "hub":
            check_absent(output, overwrite)
    else:
        if output.suffix.lower() != ".onnx":
            raise InputError(f"{output}: the name must end in .onnx")
        if output.is_dir():
            raise InputError(f"{output}: is a folder")
        check_absent(output, overwrite)
    check_model(model)
    if problem is None and solver is not None:
        problem = "deblur"
    if problem is not None:
        option_values.check_choice("--problem", problem, PROBLEMS)
    if solver is not None:
        option_values.check_choice("--solver", solver, SOLVERS)
    for option, given, default, task in (
        ("--boundary", boundary, BOUNDARY, "deblur"),
        ("--size", size, None, "cs"),
        ("--sampling", sampling, SAMPLING, "cs"),
        ("--ratio", ratio, RATIO, "cs"),
        ("--seed", seed, SEED, "cs"),
    ):
        if given != default and problem != task:
            raise InputError(f"{option}: only for --problem {task}")
    option_values.check_sampling(sampling)
    if sampling in options.SAMPLINGS and sampling not in SAMPLINGS:
        raise InputError(
            f"--sampling {sampling}: cannot be exported; only {' and '.join(SAMPLINGS)} can, and matrices"
        )
    if problem and potential:
        raise InputError("--potential: only for models; a solver returns its objective anyway")
    if problem and precision != "float32":
        raise InputError(f"--precision {precision}: only for models; solvers compute in float32")
    from gradprox.export import Report as Verification
    from gradprox.export import export_denoiser, export_solver
    from gradprox.export import verify as verify_file

    found: Verification

    began = time.perf_counter()
    with doing(output.name, report.quiet) as show, tempfile.TemporaryDirectory() as folder:
        file = output if layout is None else Path(folder) / "model.onnx"
        if layout is not None and Path(model).suffix.lower() == ".onnx" and not (problem or potential):
            file, found = Path(model), verify_file(model, show)
        elif problem == "cs":
            physics = _measurements(size, sampling, ratio, seed)
            found = export_solver(physics, solver, model, file, progress=show)
        elif problem:
            found = export_solver(problem, solver, model, file, boundary=boundary, progress=show)
        else:
            found = export_denoiser(model, file, potential=potential, precision=precision, progress=show)
        if layout is not None:
            output = _laid_out(layout, file, output, overwrite)
    print_report(output, found, report)
    report.print(f"exported and verified in {time.perf_counter() - began:.0f} seconds")


def _laid_out(layout: str, file: Path, output: Path, overwrite: bool) -> Path:
    """Write the folder of a layout; return it."""
    from gradprox.export import write_hub_folder, write_triton_model

    try:
        if layout == "triton":
            return write_triton_model(file, output, replace=overwrite)
        write_hub_folder(file, output, replace=overwrite)
    except FileExistsError as error:
        raise InputError(f"{error.filename}: exists already: add --overwrite to replace it") from error
    return output


def _measurements(size: str | None, sampling: str, ratio: float, seed: int) -> Sensing:
    """Return the measurements that the options describe."""
    from gradprox.physics import Sensing

    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "")
    if match is None:
        raise InputError(
            "--problem cs needs --size HEIGHTxWIDTH, for example 256x256: the patterns become part of the file"
        )
    shape = int(match[1]), int(match[2])
    if math.prod(shape) > LARGEST:
        raise InputError(f"--size {size}: a solver takes whole images, of at most {LARGEST} pixels")
    return Sensing.described(sampling, ratio, shape, 1, seed, 0.0)
