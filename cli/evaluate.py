"""``gradprox evaluate``: degrade the pictures of a folder, restore them, report the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.scores import Restored, Trial, score_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gradprox.solvers import Callback
    from gradprox.solvers.presets import Preset

app = typer.Typer(
    no_args_is_help=True, help="Degrade each picture of a folder with a seed, restore it, report the figures."
)

Data = Annotated[Path, typer.Option(help="Folder of clean pictures.", show_default=False)]
Color = Annotated[bool, typer.Option("--color", help="Keep colours; otherwise pictures become gray.")]
Clip = Annotated[bool, typer.Option("--clip", help="Clip results to 0..1 before comparing.")]


@app.command()
def denoise(
    data: Data,
    noise: options.Noise = "25/255",
    model: options.Model = "gray",
    color: Color = False,
    clip: Clip = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Add Gaussian noise, remove it.

    Example: gradprox evaluate denoise --data Set12 --noise 25/255 --json figures.json
    """
    level = options.parse_level(noise)
    prior, place = options.open_model(model, device)

    import torch

    from gradprox.problems import gaussian_noise

    def trial(clean: Tensor, generator: torch.Generator, _: Callback) -> Callable[[], Restored]:
        noisy = clean + gaussian_noise(clean, level, generator)

        @torch.no_grad()
        def restore() -> Restored:
            return Restored(clean, noisy, prior(noisy, level))

        return restore

    score_folder(
        data,
        {"": trial},
        task="denoise",
        model=model,
        settings={"noise": level, "seed": seed, "color": color, "clip": clip},
        color=color,
        clip=clip,
        seed=seed,
        steps=1,
        device=place,
        quiet=quiet,
        report=json,
    )


@app.command()
def deblur(
    data: Data,
    kernel: options.Kernel,
    noise: options.Noise = "2.55/255",
    boundary: options.Boundary = "circular",
    solver: options.Solver = None,
    strength: options.Strength = 1.0,
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = "gray",
    color: Color = False,
    clip: Clip = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Blur, add Gaussian noise, restore; a file of several kernels is taken kernel by kernel.

    Example: gradprox evaluate deblur --data Set12 --kernel Levin09.npz:k1 --noise 2.55/255
    """
    level = options.parse_level(noise)

    from gradprox.problems import BOUNDARIES, blur_of_pictures, gaussian_noise, read_kernels
    from gradprox.solvers.deblurring import deblur_pictures
    from gradprox.solvers.presets import Task, preset

    options.check_choice("--boundary", boundary, BOUNDARIES)
    algorithm = preset(Task.DEBLUR, level, solver=solver, strength=strength, max_steps=steps, tol=tol)
    kernels = read_kernels(kernel)
    prior, place = options.open_model(model, device)

    def trial_with(blur: Tensor) -> Trial:
        def trial(clean: Tensor, generator: torch.Generator, show: Callback) -> Callable[[], Restored]:
            camera = blur_of_pictures(boundary, blur, (clean.shape[-2], clean.shape[-1]), clean.shape[1])
            sharp = camera.visible(clean)
            blurred = camera.A(clean)
            blurred = blurred + gaussian_noise(blurred, level, generator)

            def restore() -> Restored:
                picture, result = deblur_pictures(
                    blurred, blur, prior, algorithm, boundary=boundary, callback=show
                )
                return Restored(sharp, blurred, picture, result)

            return restore

        return trial

    settings = {
        "noise": level,
        "kernel": kernel,
        "boundary": boundary,
        "solver": solver,
        "strength": strength,
    }
    score_folder(
        data,
        {name: trial_with(blur.to(place)) for name, blur in kernels.items()},
        task="deblur",
        model=model,
        settings=settings | _common(algorithm, seed=seed, color=color, clip=clip),
        color=color,
        clip=clip,
        seed=seed,
        steps=algorithm.max_steps,
        device=place,
        quiet=quiet,
        report=json,
    )


@app.command()
def cs(
    data: Data,
    sampling: options.Sampling = "hadamard",
    ratio: options.Ratio = 0.25,
    noise: options.Noise = "0",
    solver: options.Solver = None,
    strength: options.Strength = 1.0,
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = "gray",
    color: Color = False,
    clip: Clip = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Measure by compressed sensing, reconstruct.

    The input figure is that of the linear reconstruction, adjoint or pseudo-inverse.

    Example: gradprox evaluate cs --data Set12 --sampling block-gaussian --ratio 0.25
    """
    level = options.parse_level(noise)

    from gradprox.problems import Sensing, gaussian_noise, initial_picture
    from gradprox.solvers.presets import Task, preset

    algorithm = preset(
        Task.COMPRESSED_SENSING, level, solver=solver, strength=strength, max_steps=steps, tol=tol
    )
    prior, place = options.open_model(model, device)

    def trial(clean: Tensor, generator: torch.Generator, show: Callback) -> Callable[[], Restored]:
        size = (clean.shape[-2], clean.shape[-1])
        physics = Sensing.described(sampling, ratio, size, clean.shape[1], seed, level).physics().to(place)
        y = physics.A(clean)
        y = y + gaussian_noise(y, level, generator)

        def restore() -> Restored:
            result = algorithm(y, physics, prior, callback=show)
            return Restored(clean, initial_picture(y, physics), result.x, result)

        return restore

    settings = {"noise": level, "sampling": sampling, "ratio": ratio, "strength": strength}
    score_folder(
        data,
        {"": trial},
        task="cs",
        model=model,
        settings=settings | _common(algorithm, seed=seed, color=color, clip=clip),
        color=color,
        clip=clip,
        seed=seed,
        steps=algorithm.max_steps,
        device=place,
        quiet=quiet,
        report=json,
    )


def _common(preset: Preset, **more: object) -> dict[str, Any]:
    solver = preset.solver
    return {"solver": type(solver).__name__.lower(), "parameters": dataclasses.asdict(solver), **more}
