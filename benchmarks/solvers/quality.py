"""Measure PSNR, steps and seconds of every solver, on a deblurring and a compressed-sensing problem.

    python benchmarks/solvers/quality.py --data FOLDER --crop 128 --json quality-gray-fast.json

Without a folder one small crop of the demo's image is restored, which takes minutes. Each solver runs with its
preset; ``scheduled hqs`` has no certificate. ``close`` is the time to within 0.1 dB of the final PSNR, including the
warm start. ``--plots FOLDER`` draws the PSNR of the first image against time. For the run after the warm start it also
draws the objective above its last value.

Two methods of deepinv are compared: the plug-and-play loop PGD with the same model, and total variation. Each has the
noise level or the weight of a grid with the best mean PSNR on these images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import typer
from deepinv.loss.metric import PSNR
from deepinv.physics import LinearPhysics
from matplotlib.figure import Figure
from middle import read_middle
from rivals import TV_ITERATIONS, plug_and_play, total_variation
from torch import Tensor

from gradprox import load_model
from gradprox.files import write_json, written_whole
from gradprox.images import EXAMPLE_IMAGE, images_in
from gradprox.physics import CircularBlur, HadamardSensing, gaussian_noise, initial_image, motion_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import Callback, Result, ScheduledHQS
from gradprox.solvers.presets import SOLVERS, Task, preset

CROP = 128
NOISE = {Task.DEBLUR: 2.55 / 255, Task.COMPRESSED_SENSING: 0.0}
CLOSE = 0.1
# Weights of total variation; noise levels of deepinv's loop, of 255.
WEIGHTS = (3e-5, 1e-4, 3e-4, 6e-4, 1e-3, 2e-3)
SIGMAS = (1.5, 3.0, 6.0, 12.0)
LOOP_STEPS = 100

Run = Callable[[Tensor, LinearPhysics, LearnedProx, Callback], Result]
Rival = Callable[[Tensor, LinearPhysics], Tensor]
Case = tuple[Tensor, Tensor, LinearPhysics]  # an image, its measurements, the operator


@dataclass(frozen=True)
class Curve:
    """One run: seconds, PSNR and objective after each step, and where the certified run begins."""

    seconds: list[float]
    psnr: list[float]
    objective: list[float]
    start: int


@dataclass(frozen=True)
class Row:
    """The figures of a solver on one image, or their means."""

    psnr: float
    steps: float
    seconds: float
    close: float
    increases: float


def problem(task: Task, size: tuple[int, int]) -> LinearPhysics:
    """Return the forward operator."""
    if task is Task.DEBLUR:
        return CircularBlur(motion_kernel(9, 30), size)
    return HadamardSensing(size, size[0] * size[1] // 4)


def contestants(task: Task) -> dict[str, Run]:
    """Return the competing solvers by name."""

    def with_preset(name: str) -> Run:
        algorithm = preset(task, NOISE[task], solver=name)
        return lambda y, physics, prior, show: algorithm(y, physics, prior, callback=show)

    runs = {name: with_preset(name) for name in SOLVERS}
    if task is Task.DEBLUR:
        schedule = ScheduledHQS(sigma=1.5 * NOISE[task], noise=NOISE[task])
        runs["scheduled hqs"] = lambda y, physics, prior, show: schedule(y, physics, prior, callback=show)
    return runs


def rivals(prior: LearnedProx) -> dict[str, tuple[int, list[Rival]]]:
    """Return deepinv's methods by name: their number of steps, and one function per setting of the grid."""
    loops: list[Rival] = [partial(plug_and_play, prior, sigma / 255, LOOP_STEPS) for sigma in SIGMAS]
    variations: list[Rival] = [partial(total_variation, weight) for weight in WEIGHTS]
    return {"deepinv pnp pgd": (LOOP_STEPS, loops), "deepinv tv": (TV_ITERATIONS, variations)}


def best_of(steps: int, grid: list[Rival], cases: list[Case]) -> dict[str, float]:
    """Return the means of the setting with the highest PSNR; these methods have no exact objective."""
    means = []
    for rival in grid:
        began = time.perf_counter()
        psnr = fmean(float(PSNR()(rival(y, physics), clean)) for clean, y, physics in cases)
        seconds = (time.perf_counter() - began) / len(cases)
        means.append(asdict(Row(psnr, steps, seconds, float("nan"), float("nan"))))
    return max(means, key=lambda mean: mean["psnr"])


def measure(
    run: Run, clean: Tensor, y: Tensor, physics: LinearPhysics, prior: LearnedProx
) -> tuple[Row, Curve]:
    """Run once; the time of computing PSNR after every step does not count."""
    psnr, spent = PSNR(), 0.0
    seconds, values, objective = list[float](), list[float](), list[float]()
    began = time.perf_counter()

    def show(step: Any) -> None:
        nonlocal began, spent
        spent += time.perf_counter() - began
        seconds.append(spent)
        values.append(float(psnr(step.state.x, clean)))
        objective.append(float(step.state.objective[0]))
        began = time.perf_counter()

    result = run(y, physics, prior, show)
    spent += time.perf_counter() - began
    final = float(psnr(result.x, clean))
    close = next((at for at, value in zip(seconds, values, strict=True) if value >= final - CLOSE), spent)
    increases = float(result.objective_increases[0]) if result.certified else float("nan")
    curve = Curve(seconds, values, objective, len(seconds) - result.residual.shape[1])
    return Row(final, float(result.steps[0]), spent, close, increases), curve


def plot(path: Path, curves: dict[str, Curve]) -> None:
    """Draw PSNR and objective against time."""
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    quality, descent = figure.subplots(1, 2)
    for name, curve in curves.items():
        (line,) = quality.plot(curve.seconds, curve.psnr, label=name)
        last = slice(curve.start, -1)
        above = [value - curve.objective[-1] for value in curve.objective[last]]
        descent.semilogy(curve.seconds[last], above, color=line.get_color())
    quality.set_ylabel("PSNR, dB")
    descent.set_ylabel("objective - last objective")
    for axes in (quality, descent):
        axes.set_xlabel("seconds")
        axes.grid(alpha=0.3)
    quality.legend(fontsize="small")
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def show(name: str, mean: dict[str, float]) -> None:
    """Print a row."""
    typer.echo(
        f"  {name:<16}{mean['psnr']:>8.2f}{mean['steps']:>8.0f}{mean['seconds']:>9.2f}{mean['close']:>8.2f}"
        f"{mean['increases']:>11.1f}"
    )


def main() -> None:
    """Measure, print a table, and write JSON if a path is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of images")
    parser.add_argument("--crop", type=int, help="pixels a side of a crop from the middle of each image")
    parser.add_argument("--model", default="gray-fast")
    parser.add_argument("--plots", type=Path, help="draw into this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    paths = images_in(arguments.data) if arguments.data else [EXAMPLE_IMAGE]
    crop = arguments.crop or (None if arguments.data else CROP)
    prior = load_model(arguments.model)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for task in NOISE:
        cases = []
        for path in paths:
            clean = read_middle(path, crop)
            physics = problem(task, (clean.shape[-2], clean.shape[-1]))
            y = physics.A(clean)
            y = y + gaussian_noise(y, NOISE[task], torch.Generator().manual_seed(len(cases)))
            cases.append((clean, y, physics))
        start = fmean(float(PSNR()(initial_image(y, physics), clean)) for clean, y, physics in cases)
        typer.echo(f"{task.value}: {len(cases)} images, start {start:.2f} dB, model {arguments.model}")
        typer.echo(f"  {'solver':<16}{'PSNR':>8}{'steps':>8}{'seconds':>9}{'close':>8}{'increases':>11}")
        means, curves = dict[str, dict[str, float]](), dict[str, Curve]()
        for name, run in contestants(task).items():
            measured = [measure(run, clean, y, physics, prior) for clean, y, physics in cases]
            curves[name], rows = measured[0][1], [asdict(row) for row, _ in measured]
            means[name] = {column: fmean(row[column] for row in rows) for column in rows[0]}
            show(name, means[name])
        for name, (steps, grid) in rivals(prior).items():
            means[name] = best_of(steps, grid, cases)
            show(name, means[name])
        figures[task.value] = means
        if arguments.plots:
            plot(arguments.plots / f"{task.value}.png", curves)
    if arguments.json:
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
