"""``gradprox train``: train a model from a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.groups import Report
from gradprox.cli.model_choice import Device, complete_models, resolve_device
from gradprox.cli.terminal import progress_bar, stopping

if TYPE_CHECKING:
    from gradprox.training import Progress


def train(
    recipe: Annotated[
        str,
        typer.Option(
            metavar="RECIPE",
            autocompletion=complete_models,
            help="A recipe file (.toml), or a shipped model, to use its recipe.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of training images.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder for the checkpoint, the log and the model.", show_default=False
        ),
    ],
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of other images, on which PSNR is measured during training.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue from the checkpoint in --out, with the same result as without a stop."
        ),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="CPU threads.", show_default="chosen by torch"),
    ] = None,
    device: Device = "auto",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the model with torch.compile. This takes half a minute; then training on a GPU is faster.",
        ),
    ] = False,
    *,
    report: Report,
) -> None:
    """Train a learned proximal operator on a folder of images.

    Ctrl-C loses at most the steps since the last checkpoint: run the command again with --resume.

    Example:
      gradprox train --recipe gray-fast --data BSDS400 --validation BSDS32 --out runs/gray-fast
    """
    import torch

    from gradprox.training import read_recipe
    from gradprox.training import train as run
    from gradprox.zoo import recipe_path

    options.check_folder("--out", out)
    if threads:
        torch.set_num_threads(threads)
    chosen = read_recipe(recipe if recipe.endswith(".toml") else recipe_path(recipe))
    last: dict[str, object] = {}
    with (
        stopping("run the command again with --resume to continue from the last checkpoint"),
        progress_bar(report.quiet) as bar,
    ):
        task = bar.add_task(f"training {chosen.name}", total=chosen.steps, note="")

        def show(progress: Progress) -> None:
            last.update(step=progress.step, loss=progress.loss)
            if progress.validation:
                last["validation"] = progress.validation
            bar.update(task, completed=progress.step, note=f"loss {progress.loss:.4g}")
            if progress.validation and not report.quiet:
                figures = "  ".join(f"{level}: {psnr:.2f} dB" for level, psnr in progress.validation.items())
                bar.console.print(f"step {progress.step}  {figures}")

        path = run(
            chosen,
            data,
            out,
            validation=validation,
            resume=resume,
            device=resolve_device(device),
            compiled=compiled,
            report=show,
        )
    report.print(f"model: {path}", markup=False)
    report.write({"model": str(path), **last})
