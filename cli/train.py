"""``gradprox train``: train a model from a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.terminal import console, progress_bar, stopping
from gradprox.files import write_json

if TYPE_CHECKING:
    from gradprox.training import Progress


def train(
    recipe: Annotated[
        str, typer.Option(help="A shipped recipe (the name of a model) or a .toml file.", show_default=False)
    ],
    data: Annotated[Path, typer.Option(help="Folder of training images.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint, the log and the model.", show_default=False)
    ],
    validation: Annotated[
        Path | None, typer.Option(help="Folder of held-out images to measure on.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in OUT; the result is the same.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; the machine's choice if not given.")
    ] = None,
    device: options.Device = "auto",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Fuse operations by torch.compile: half a minute, then faster on a GPU."
        ),
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Train a learned proximal operator.

    Ctrl-C loses at most the steps since the last checkpoint: run again with --resume.

    Example: gradprox train --recipe gray-fast --data BSDS400 --validation BSDS32 --out runs/gray-fast
    """
    import torch

    from gradprox.training import read_recipe
    from gradprox.training import train as run
    from gradprox.zoo import recipe_path

    if threads:
        torch.set_num_threads(threads)
    chosen = read_recipe(recipe if recipe.endswith(".toml") else recipe_path(recipe))
    last: dict[str, object] = {}
    with stopping("--resume goes on from the last checkpoint"), progress_bar(quiet) as bar:
        task = bar.add_task(f"training {chosen.name}", total=chosen.steps, note="")

        def report(progress: Progress) -> None:
            last.update(step=progress.step, loss=progress.loss)
            if progress.validation:
                last["validation"] = progress.validation
            bar.update(task, completed=progress.step, note=f"loss {progress.loss:.4g}")
            if progress.validation:
                figures = "  ".join(f"{level}: {psnr:.2f} dB" for level, psnr in progress.validation.items())
                bar.console.print(f"step {progress.step}  {figures}")

        path = run(
            chosen,
            data,
            out,
            validation=validation,
            resume=resume,
            device=options.resolve_device(device),
            compiled=compiled,
            report=report,
        )
    if not quiet:
        console().print(f"model: {path}")
    if json:
        write_json(json, {"model": str(path), **last})
