"""``gradprox recover``: the picture behind compressed measurements."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gradprox.cli import options
from gradprox.cli.batch import check_absent, describe, outcome, write_json
from gradprox.cli.terminal import console, follow, progress_bar


def recover(
    measurements: Annotated[
        Path, typer.Argument(help="What gradprox sense wrote (.npz).", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.", show_default=False)],
    solver: options.Solver = None,
    strength: options.Strength = 1.0,
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = "gray",
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Reconstruct a picture from compressed measurements.

    Example: gradprox recover y.npz -o photo.png
    """
    check_absent(output, overwrite)

    from gradprox.images import Picture, check_picture_suffix, write_picture
    from gradprox.problems import read_measurements
    from gradprox.solvers.presets import Task, preset

    check_picture_suffix(output)
    y, sensing = read_measurements(measurements)
    algorithm = preset(
        Task.COMPRESSED_SENSING,
        sensing.sampling.noise,
        solver=solver,
        strength=strength,
        max_steps=steps,
        tol=tol,
    )
    prior, place = options.open_model(model, device)
    began = time.perf_counter()
    with progress_bar(quiet) as bar:
        task = bar.add_task(measurements.name, total=algorithm.max_steps, note="")
        result = algorithm(y.to(place), sensing.physics().to(place), prior, callback=follow(bar, task))
    write_picture(output, Picture(result.x.cpu()))
    record = {
        "name": measurements.name,
        "output": str(output),
        "seconds": time.perf_counter() - began,
        **outcome(result),
    }
    if not quiet:
        console().print(f"{measurements} -> {output}  {describe(record)}")
    if json:
        write_json(json, record)
