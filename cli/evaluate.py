"""``gradprox evaluate``: degrade the images of a folder, restore them, report the figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import option_values, options
from gradprox.cli.groups import Group, Report, register
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.scores import Restored, Study, Trial, score_folder
from gradprox.cli.tuning import DeblurringTuning, Tuning
from gradprox.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gradprox.solvers import Callback, Restorer

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Degrade the images of a folder, restore them, and report PSNR, SSIM and time.",
)


@dataclass(frozen=True)
class Evaluation:
    """The options that all tasks share.

    Attributes:
        data: folder of clean images.
        color: keep colors.
        clip: clip restored images before comparing.
        seed: seed of the noise.
    """

    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of clean images.", show_default=False)]
    color: Annotated[
        bool,
        typer.Option(
            "--color",
            help="Restore in color, the default with a color model. Other models get gray images otherwise.",
        ),
    ] = False
    clip: Annotated[bool, typer.Option("--clip", help="Clip restored images to 0..1 before comparing.")] = (
        False
    )
    seed: options.Seed = 0


def _score(
    task: str,
    trials: dict[str, Trial],
    settings: dict[str, Any],
    *,
    evaluation: Evaluation,
    choice: ModelChoice,
    priors: Priors,
    report: Report,
    preset: Restorer | None = None,
) -> None:
    """Score every trial on every image.

    Args:
        task: its name.
        trials: by label; see `score_folder`.
        settings: the task's own settings, for the report.
        evaluation: the options that all tasks share.
        choice: the model, for the report.
        priors: the loaded model. A model of three channels takes images in color, and any other in gray unless colors
            are asked for.
        report: how to report.
        preset: the solver, whose settings are reported too; None for one pass.
    """
    from gradprox.images import read_gray, read_image

    def read_colors(path: Path) -> Tensor:
        pixels = read_image(path).pixels
        together = priors.channels or (1 if priors.named else pixels.shape[1])
        if together == 3 and bool((pixels == pixels[:, :1]).all()):
            # Three equal channels with independent noise are three measurements of one image.
            raise InputError(
                "is gray, and a color model would restore it from three noisy copies, with inflated figures: evaluate "
                "a gray model without --color, or keep gray images out of the folder"
            )
        return pixels

    color = evaluation.color or priors.channels == 3
    read = read_colors if color else read_gray
    settings = settings | {
        "seed": evaluation.seed,
        "color": color,
        "clip": evaluation.clip,
        "provider": choice.provider,
    }
    prior = priors.of(3 if color else 1)
    if preset is not None:
        settings |= preset.settings(prior)
    study = Study(
        task=task,
        model=choice.model or prior.name,
        settings=settings,
        clip=evaluation.clip,
        seed=evaluation.seed,
        steps=1 if preset is None else preset.max_iter,
    )
    score_folder(study, evaluation.data, trials, read, priors.device, follow=priors.follow, report=report)


def denoise(
    evaluation: Evaluation, noise: options.Noise = "25/255", *, model: ModelChoice, report: Report
) -> None:
    """Add Gaussian noise to images, and remove it.

    The noise level of the model is that of the noise.

    Example:
      gradprox evaluate denoise --data Set12 --noise 25/255 --json figures.json
    """
    level = option_values.parse_level(noise)
    priors = Priors(model, for_solver=False)

    import torch

    from gradprox.physics import gaussian_noise

    def trial(clean: Tensor, generator: torch.Generator, _: Callback) -> Callable[[], Restored]:
        noisy = clean + gaussian_noise(clean, level, generator)

        @torch.no_grad()
        def restore() -> Restored:
            return Restored(clean, noisy, priors.of(clean.shape[1])(noisy, level))

        return restore

    settings = {"noise": level}
    _score(
        "denoise", {"": trial}, settings, evaluation=evaluation, choice=model, priors=priors, report=report
    )


def deblur(
    evaluation: Evaluation,
    kernel: options.Kernel = None,
    noise: options.Noise = "2.55/255",
    boundary: options.Boundary = "circular",
    *,
    tuning: DeblurringTuning,
    model: ModelChoice,
    report: Report,
) -> None:
    """Blur images, add Gaussian noise, and restore them.

    If a file contains several kernels, every image is blurred with each of them.

    Example:
      gradprox evaluate deblur --data Set12 --kernel Levin09.npz:k1 --noise 2.55/255
    """
    description = option_values.require_kernel(
        kernel, ". `gradprox kernel disk:3 -o kernel.png` draws a kernel"
    )
    level = option_values.parse_level(noise)
    option_values.check_choice("--boundary", boundary, options.BOUNDARIES)
    option_values.check_kernel(description)

    from gradprox.physics import blur_of_images, gaussian_noise, read_kernels
    from gradprox.solvers.deblurring import deblur_images

    preset = tuning.preset("deblur", level)
    kernels = read_kernels(description)
    priors = Priors(model, prox=tuning.needs_prox)
    tuning.check_model("deblur", priors.named)

    def trial_with(blur: Tensor) -> Trial:
        def trial(clean: Tensor, generator: torch.Generator, show: Callback) -> Callable[[], Restored]:
            camera = blur_of_images(boundary, blur, (clean.shape[-2], clean.shape[-1]), clean.shape[1])
            sharp = camera.visible(clean)
            blurred = camera.A(clean)
            blurred = blurred + gaussian_noise(blurred, level, generator)

            def restore() -> Restored:
                image, result = deblur_images(
                    blurred, blur, priors.of(clean.shape[1]), preset, boundary=boundary, callback=show
                )
                return Restored(sharp, blurred, image, result)

            return restore

        return trial

    _score(
        "deblur",
        {name: trial_with(blur.to(priors.device)) for name, blur in kernels.items()},
        {
            "noise": level,
            "kernel": description,
            "boundary": boundary,
            "strength": tuning.factor or "auto",
            "mixed_precision": tuning.settings["mixed_precision"],
        },
        evaluation=evaluation,
        choice=model,
        priors=priors,
        report=report,
        preset=preset,
    )


def cs(
    evaluation: Evaluation,
    sampling: options.Sampling = "hadamard",
    ratio: options.Ratio = 0.25,
    noise: options.Noise = "0",
    *,
    tuning: Tuning,
    model: ModelChoice,
    report: Report,
) -> None:
    """Measure images by compressed sensing, and reconstruct them.

    The PSNR of the input is that of the linear reconstruction (adjoint or pseudo-inverse).

    Example:
      gradprox evaluate cs --data Set12 --sampling block-gaussian --ratio 0.25
    """
    level = option_values.parse_level(noise)
    option_values.check_sampling(sampling)

    from gradprox.physics import Sensing, gaussian_noise, initial_image

    seed = evaluation.seed
    Sensing.described(
        sampling, ratio, (1, 1), 1, seed, level
    )  # refuses unusable settings before the first image
    preset = tuning.preset("cs", level)
    priors = Priors(model, prox=tuning.needs_prox)
    tuning.check_model("cs", priors.named)

    def trial(clean: Tensor, generator: torch.Generator, show: Callback) -> Callable[[], Restored]:
        size = (clean.shape[-2], clean.shape[-1])
        sensing = Sensing.described(sampling, ratio, size, clean.shape[1], seed, level)
        physics = sensing.physics().to(priors.device)
        y = physics.A(clean)
        y = y + gaussian_noise(y, level, generator)

        def restore() -> Restored:
            result = preset(y, physics, priors.of(clean.shape[1]), callback=show)
            return Restored(clean, initial_image(y, physics), result.x, result)

        return restore

    _score(
        "cs",
        {"": trial},
        {"noise": level, "sampling": sampling, "ratio": ratio, "strength": tuning.factor or "auto"},
        evaluation=evaluation,
        choice=model,
        priors=priors,
        report=report,
        preset=preset,
    )


for task in (denoise, deblur, cs):
    register(app, task)
