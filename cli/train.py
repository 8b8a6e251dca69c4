"""``gradprox train``: train a model from a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import option_values
from gradprox.cli.groups import Report
from gradprox.cli.model_choice import Device, complete_models, resolve_device
from gradprox.cli.option_values import UsageError
from gradprox.cli.terminal import progress_bar, stop_request, stopping

if TYPE_CHECKING:
    from gradprox.training import Progress, Recipe

WAYS = {"estimated": "estimated PSNR", "neighbors": "PSNR of predicted neighbors"}
EXPLAINED = {
    "sure": "PSNR is estimated without clean images, by Stein's unbiased risk estimate: it is right for Gaussian noise "
    "of the right level.",
    "neighbor2neighbor": "Noisy pixels are predicted from their neighbors. Their noise, which cannot be predicted, "
    "counts as error: the true gain is larger.",
}
# The exit code of a command that Ctrl-C ended.
INTERRUPTED = 130


def train(
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of training images.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder for the checkpoint, the log and the model.", show_default=False
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            autocompletion=complete_models,
            help="A recipe file (.toml), or a shipped model, to use its recipe.",
            show_default="go on with a trained model",
        ),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            autocompletion=complete_models,
            help="Go on with this model, a shipped one or a file, instead of a recipe.",
            show_default="gray-fast or color-fast",
        ),
    ] = None,
    unsupervised: Annotated[
        bool,
        typer.Option(
            "--unsupervised",
            help="The training images are noisy, and there are no clean ones. Stacks of images (TIFF) are read too.",
        ),
    ] = False,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="With --unsupervised: the standard deviation of the noise, for example 25/255, or gain:G,read:R, as "
            "of denoise. unknown: not Gaussian, but independent from pixel to pixel.",
            show_default="estimated from each image",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="Training steps.", show_default="of the recipe, or 400"),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of other images, on which PSNR is measured during training. With --unsupervised they are "
            "noisy, and PSNR is estimated.",
            show_default=False,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="COUNT",
            help="Stop after so many validations in a row that bring nothing new, and keep the best model.",
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
    """Train a learned proximal operator on a folder of images, clean or noisy.

    Ctrl-C ends the training after the step that is under way: the model so far and a checkpoint are written. Run the
    command again with --resume to continue.

    Examples:
      gradprox train --data noisy --unsupervised --out runs/mine
      gradprox train --data stack --unsupervised --noise 10/255 --steps 200 --out runs/microscope
      gradprox train --recipe gray-fast --data BSDS400 --validation BSDS32 --out runs/gray-fast
    """
    import torch

    from gradprox.solvers.mixed_precision import computes_in_bfloat16
    from gradprox.training import train as run
    from gradprox.training.run_log import read_log

    option_values.check_folder("--out", out)
    if threads:
        torch.set_num_threads(threads)
    chosen = _recipe(recipe, initial, data, unsupervised, noise, steps)
    processor = resolve_device(device)
    if chosen.precision == "bfloat16" and not computes_in_bfloat16(processor):
        typer.echo(
            f"warning: this {processor.type} has no instructions for bfloat16, so each step takes longer than in "
            'single precision: write precision = "float32" in the recipe',
            err=True,
        )
    last: dict[str, Any] = {}
    with (
        stopping("run the command again with --resume to continue from the last checkpoint"),
        stop_request() as asked,
        progress_bar(report.quiet) as bar,
    ):
        task = bar.add_task(f"training {chosen.name}", total=chosen.steps, note="")

        def show(progress: Progress) -> None:
            last.update(step=progress.step, loss=progress.loss)
            if progress.validation:
                last["validation"] = progress.validation
            if progress.gain:
                last["gain"] = progress.gain
            bar.update(task, completed=progress.step, note=f"loss {progress.loss:.4g}")
            if progress.validation and progress.gain and not report.quiet:
                gain = progress.gain
                figures = "  ".join(
                    f"{name}: {psnr:.2f} dB ({gain[name]:+.2f})" for name, psnr in progress.validation.items()
                )
                bar.console.print(f"step {progress.step}  {figures}", markup=False)

        path = run(
            chosen,
            data,
            out,
            validation=validation,
            resume=resume,
            device=processor,
            compiled=compiled,
            patience=patience,
            stop=asked.is_set,
            report=show,
        )
    for line in _summary(chosen, read_log(out)):
        report.print(line, markup=False)
    report.print(f"model: {path}", markup=False)
    report.write({"model": str(path), **last})
    if asked.is_set():
        typer.echo("stopped: run the command again with --resume to continue", err=True)
        raise typer.Exit(INTERRUPTED)


def _recipe(
    recipe: str | None,
    initial: str | None,
    data: Path,
    unsupervised: bool,
    noise: str | None,
    steps: int | None,
) -> Recipe:
    """Return the recipe that the options ask for.

    Raises:
        UsageError: two options exclude each other.
        InputError: a value cannot be used.
    """
    from gradprox.signal_noise import parse_signal_noise
    from gradprox.training import default_initial, fine_tuning, read_recipe, without_clean_images
    from gradprox.zoo import recipe_path

    if recipe is not None and initial is not None:
        raise UsageError("--recipe and --initial: give one of them; a recipe names its own initial model")
    if noise is not None and not unsupervised:
        raise UsageError("--noise: clean images have none; add --unsupervised if the images are noisy")
    if recipe is None:
        chosen = fine_tuning(initial or default_initial(data), **({} if steps is None else {"steps": steps}))
    else:
        chosen = read_recipe(recipe if recipe.endswith(".toml") else recipe_path(recipe))
        chosen = chosen if steps is None else chosen.model_copy(update={"steps": steps})
    if not unsupervised:
        return chosen
    level: str | float | None = noise or "auto"
    if noise is not None and noise.startswith("gain:"):
        with option_values.named("--noise"):
            parse_signal_noise(noise)
    elif level not in ("auto", "unknown"):
        level = option_values.parse_level(str(noise))
    return without_clean_images(chosen, None if level == "unknown" else level)


def _summary(recipe: Recipe, log: dict[str, Any] | None) -> list[str]:
    """Return what the model gained over the one that it is compared with, as lines."""
    result = (log or {}).get("result")
    if log is None or result is None:
        return []
    figures = ", ".join(
        f"{result['gain'][name]:+.2f} dB ({WAYS.get(name, name + '/255')}: {psnr:.2f} dB)"
        for name, psnr in result["psnr"].items()
    )
    said = [f"gain over {log['baseline']['model']} at step {result['step']}: {figures}"]
    if recipe.loss in EXPLAINED:
        said.append(EXPLAINED[recipe.loss])
    if all(gain < 0 for gain in result["gain"].values()):
        said.append(f"It has not gained: train more steps, or keep {log['baseline']['model']}.")
    return said
