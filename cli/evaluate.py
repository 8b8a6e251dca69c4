"""``gradprox evaluate``: degrade the images of a folder, restore them, report the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.scores import Restored, Trial, score_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gradprox.solvers import Callback
    from gradprox.solvers.discrepancy import DiscrepancyPreset
    from gradprox.solvers.presets import Preset

app = typer.Typer(
    no_args_is_help=True, help="Degrade each image of a folder with a seed, restore it, report the figures."
)

Data = Annotated[Path, typer.Option(help="Folder of clean images.", show_default=False)]
Color = Annotated[bool, typer.Option("--color", help="Keep colors; otherwise images become gray.")]
Clip = Annotated[bool, typer.Option("--clip", help="Clip results to 0..1 before comparing.")]


@dataclass(frozen=True)
class Scoring:
    """What the tasks have in common.

    Attributes:
        task: its name.
        data: folder of clean images.
        model: which, and what runs it.
        color: keep colors.
        clip: clip results before comparing.
        seed: of the noise.
        quiet: print errors only.
        report: JSON file for the figures.
    """

    task: str
    data: Path
    model: options.ModelChoice
    color: bool
    clip: bool
    seed: int
    quiet: bool
    report: Path | None

    def run(
        self,
        trials: dict[str, Trial],
        settings: dict[str, Any],
        device: torch.device,
        algorithm: Preset | DiscrepancyPreset | None = None,
    ) -> None:
        """Score every trial on every image.

        Args:
            trials: by label, as of `score_folder`.
            settings: the task's own, for the report.
            device: where to compute.
            algorithm: what restores, if it is a solver; its settings are reported too.
        """
        from gradprox.zoo import default_model

        settings = settings | {
            "seed": self.seed,
            "color": self.color,
            "clip": self.clip,
            "provider": self.model.provider,
        }
        if algorithm is not None:
            solver = algorithm.solver
            settings |= {"solver": type(solver).__name__.lower(), "parameters": dataclasses.asdict(solver)}
        score_folder(
            self.data,
            trials,
            task=self.task,
            model=self.model.name or default_model(3 if self.color else 1, for_solver=algorithm is not None),
            settings=settings,
            color=self.color,
            clip=self.clip,
            seed=self.seed,
            steps=1 if algorithm is None else algorithm.max_iter,
            device=device,
            quiet=self.quiet,
            report=self.report,
        )


@app.command()
def denoise(
    data: Data,
    noise: options.Noise = "25/255",
    model: options.Model = None,
    color: Color = False,
    clip: Clip = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Add Gaussian noise, remove it.

    Example: gradprox evaluate denoise --data Set12 --noise 25/255 --json figures.json
    """
    level = options.parse_level(noise)
    choice = options.ModelChoice(model, device, provider, allow_fallback)
    priors = options.Priors(choice, for_solver=False)

    import torch

    from gradprox.physics import gaussian_noise

    def trial(clean: Tensor, generator: torch.Generator, _: Callback) -> Callable[[], Restored]:
        noisy = clean + gaussian_noise(clean, level, generator)

        @torch.no_grad()
        def restore() -> Restored:
            return Restored(clean, noisy, priors.of(clean.shape[1])(noisy, level))

        return restore

    scoring = Scoring("denoise", data, choice, color, clip, seed, quiet, json)
    scoring.run({"": trial}, {"noise": level}, priors.device)


@app.command()
def deblur(
    data: Data,
    kernel: options.Kernel,
    noise: options.Noise = "2.55/255",
    boundary: options.Boundary = "circular",
    solver: options.Solver = None,
    strength: options.Strength = "1",
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = None,
    color: Color = False,
    clip: Clip = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Blur, add Gaussian noise, restore; a file of several kernels is taken kernel by kernel.

    Example: gradprox evaluate deblur --data Set12 --kernel Levin09.npz:k1 --noise 2.55/255
    """
    level = options.parse_level(noise)

    from gradprox.physics import BOUNDARIES, blur_of_images, gaussian_noise, read_kernels
    from gradprox.solvers.deblurring import deblur_images
    from gradprox.solvers.presets import Task

    options.check_choice("--boundary", boundary, BOUNDARIES)
    tuning = options.Tuning(solver, options.parse_strength(strength), steps, tol)
    algorithm = tuning.preset(Task.DEBLUR, level)
    kernels = read_kernels(kernel)
    choice = options.ModelChoice(model, device, provider, allow_fallback)
    priors = options.Priors(choice)

    def trial_with(blur: Tensor) -> Trial:
        def trial(clean: Tensor, generator: torch.Generator, show: Callback) -> Callable[[], Restored]:
            camera = blur_of_images(boundary, blur, (clean.shape[-2], clean.shape[-1]), clean.shape[1])
            sharp = camera.visible(clean)
            blurred = camera.A(clean)
            blurred = blurred + gaussian_noise(blurred, level, generator)

            def restore() -> Restored:
                image, result = deblur_images(
                    blurred, blur, priors.of(clean.shape[1]), algorithm, boundary=boundary, callback=show
                )
                return Restored(sharp, blurred, image, result)

            return restore

        return trial

    scoring = Scoring("deblur", data, choice, color, clip, seed, quiet, json)
    trials = {name: trial_with(blur.to(priors.device)) for name, blur in kernels.items()}
    settings = {"noise": level, "kernel": kernel, "boundary": boundary, "strength": tuning.strength or "auto"}
    scoring.run(trials, settings, priors.device, algorithm)


@app.command()
def cs(
    data: Data,
    sampling: options.Sampling = "hadamard",
    ratio: options.Ratio = 0.25,
    noise: options.Noise = "0",
    solver: options.Solver = None,
    strength: options.Strength = "1",
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = None,
    color: Color = False,
    clip: Clip = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Measure by compressed sensing, reconstruct.

    The input figure is that of the linear reconstruction, adjoint or pseudo-inverse.

    Example: gradprox evaluate cs --data Set12 --sampling block-gaussian --ratio 0.25
    """
    level = options.parse_level(noise)

    from gradprox.physics import Sensing, gaussian_noise, initial_image
    from gradprox.solvers.presets import Task

    tuning = options.Tuning(solver, options.parse_strength(strength), steps, tol)
    algorithm = tuning.preset(Task.COMPRESSED_SENSING, level)
    choice = options.ModelChoice(model, device, provider, allow_fallback)
    priors = options.Priors(choice)

    def trial(clean: Tensor, generator: torch.Generator, show: Callback) -> Callable[[], Restored]:
        size = (clean.shape[-2], clean.shape[-1])
        physics = (
            Sensing.described(sampling, ratio, size, clean.shape[1], seed, level).physics().to(priors.device)
        )
        y = physics.A(clean)
        y = y + gaussian_noise(y, level, generator)

        def restore() -> Restored:
            result = algorithm(y, physics, priors.of(clean.shape[1]), callback=show)
            return Restored(clean, initial_image(y, physics), result.x, result)

        return restore

    settings = {"noise": level, "sampling": sampling, "ratio": ratio, "strength": tuning.strength or "auto"}
    Scoring("cs", data, choice, color, clip, seed, quiet, json).run(
        {"": trial}, settings, priors.device, algorithm
    )
