"""``gradprox-runtime verify``: check that an exported file is intact and runs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gradprox import exported_models
from gradprox.cli import options
from gradprox.cli.groups import Report
from gradprox.cli.paths import exported_file
from gradprox.cli.runtime.models import Provider, complete_models
from gradprox.errors import InputError

# Tiles and whole images differ by rounding only.
TOLERANCE = 1e-5
SIDE, TILE, LEVEL = 48, 20, 0.05


def verify(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_models,
            help="A file or a folder that `gradprox export` wrote, or a shipped model, whose files are all verified.",
            show_default=False,
        ),
    ],
    provider: Provider = "cpu",
    allow_fallback: options.AllowFallback = False,
    *,
    report: Report,
) -> None:
    """Verify that an exported file is complete and unchanged, and that it runs on this machine.

    The checksum of the file must agree. A denoiser must give the same image whole and in tiles, and a solver must
    restore a small example. The command also prints the largest error that the export found. `gradprox verify` repeats
    the verification of the export, which needs torch.

    Examples:
      gradprox-runtime verify denoiser.onnx
      gradprox-runtime verify gray-fast
    """
    shipped = [found for found in exported_models.MODELS if found.name == model]
    files = [found.file(task) for found in shipped for task in found.tasks] or [exported_file(Path(model))]
    records = []
    for file in files:
        record, said = _verified(file, provider=provider, allow_fallback=allow_fallback)
        records.append(record)
        report.print("\n".join(said), markup=False)
    report.write({"model": model, "files": records} if shipped else records[0])


def _verified(file: Path, **where: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the record of a file, and lines that tell it."""
    from gradprox.export.runtime import container

    _, metadata = container.read(file)
    check = _check_denoiser if metadata.get("kind") == "denoiser" else _check_solver
    here = check(file, **where)
    exported = json.loads(metadata.get("report", "{}"))
    said = [f"{file}: complete and unchanged", f"runs here on {here['provider']}: {here['checked']}"]
    if "error" in exported:
        said.append(
            f"at its export: {exported['compared']}, {exported['cases']} cases: {exported['error']:.1e} (at most "
            f"{exported['error_tolerance']:g})"
        )
    return {"file": str(file), "intact": True, "here": here, "export": exported}, said


def _check_denoiser(file: Path, **where: Any) -> dict[str, Any]:
    """Compare an image whole and in tiles; return the figures.

    Raises:
        InputError: the two differ.
    """
    import numpy as np

    from gradprox.export.runtime import OnnxDenoiser

    whole, tiled = (OnnxDenoiser(file, tile=tile, **where) for tile in (None, TILE))
    side = SIDE + 2 * (whole.halo or 0)  # some tiles with their halo begin and end inside the image
    y = np.random.default_rng(0).random((1, whole.channels, side, side), dtype=np.float32)
    error = float(np.abs(whole(y, LEVEL) - tiled(y, LEVEL)).max())
    if error > TOLERANCE:
        raise InputError(f"{file}: an image in tiles differs by {error:.1e} from the whole image")
    return {
        "provider": whole.provider,
        "checked": f"tiles differ from the whole image by {error:.1e} (at most {TOLERANCE:g})",
        "tile_error": error,
    }


def _check_solver(file: Path, **where: Any) -> dict[str, Any]:
    """Restore a small example; return the figures.

    Raises:
        InputError: the file holds no solver, or its result is not finite.
    """
    import numpy as np

    from gradprox.export.runtime import OnnxSolver

    solver = OnnxSolver(file, **where)
    kernel = None if solver.problem == "cs" else np.full((3, 3), 1 / 9, np.float32)
    shape = (
        (SIDE, SIDE) if kernel is not None else json.loads(solver.metadata["physics"])["measurement_shape"]
    )
    y = np.random.default_rng(0).random((1, solver.channels, *shape), dtype=np.float32)
    result = solver(y, kernel, noise=LEVEL)
    steps = int(result.steps[0])
    return {"provider": solver.provider, "checked": f"an example took {steps} steps", "steps": steps}
