"""Calibration of posterior deviations: actual errors of restored pixels against predicted ones.

    python benchmarks/calibration.py --data FOLDER --noise 25/255 --json calibration.json --image calibration.png

Pixels are sorted by their predicted standard deviation and cut into bins of equal number. For a calibrated model the
root mean square error of a bin equals its root mean square prediction. ``within`` holds the shares of pixels with an
error of at most one and two predicted deviations (0.68 and 0.95 for Gaussian errors).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from matplotlib.figure import Figure
from torch import Tensor

from gradprox import load_model
from gradprox.files import write_json, written_whole
from gradprox.images import images_in, read_gray
from gradprox.physics import gaussian_noise, parse_level
from gradprox.priors import NetworkPrior, posterior_deviation


def deviations_and_errors(prior: NetworkPrior, path: Path, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return predicted deviations and actual errors of the pixels of one image."""
    clean = read_gray(path)
    y = clean + gaussian_noise(clean, noise, torch.Generator().manual_seed(seed))
    predicted = posterior_deviation(prior, y, noise, halo=prior.network.radius, seed=seed).deviation
    with torch.no_grad():
        error = prior(y, noise) - clean
    return predicted.flatten(), error.flatten()


def reliability(predicted: Tensor, error: Tensor, bins: int) -> list[dict[str, float]]:
    """Return predicted and actual root mean squares, of 255, in bins of equally many pixels."""
    order = predicted.argsort()
    pairs = zip(predicted[order].chunk(bins), error[order].chunk(bins), strict=True)
    return [{"predicted": root_mean_square(p), "actual": root_mean_square(e)} for p, e in pairs]


def root_mean_square(values: Tensor) -> float:
    """Return the root mean square on the scale of 255."""
    return 255 * float(values.double().square().mean().sqrt())


def draw(path: Path, rows: list[dict[str, float]]) -> None:
    """Draw actual against predicted errors."""
    figure = Figure(figsize=(4.2, 4), layout="constrained")
    axes = figure.subplots()
    predicted, actual = ([row[key] for row in rows] for key in ("predicted", "actual"))
    top = max(predicted + actual)
    axes.plot([0, top], [0, top], color="gray", linewidth=0.8, label="calibrated")
    axes.plot(predicted, actual, marker="o", label="measured")
    axes.set_xlabel("predicted deviation, of 255")
    axes.set_ylabel("root mean square error, of 255")
    axes.legend()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    noise: Annotated[str, typer.Option(help="Standard deviation, for example 25/255.")] = "25/255",
    model: Annotated[str, typer.Option()] = "gray-fast",
    bins: Annotated[int, typer.Option()] = 10,
    first: Annotated[int | None, typer.Option(help="Use only the first N images.")] = None,
    image: Annotated[Path | None, typer.Option(help="Draw the table to this file.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    prior, level = load_model(model), parse_level(noise)
    found = []
    with typer.progressbar(images_in(data)[:first]) as paths:
        for seed, path in enumerate(paths):
            found.append(deviations_and_errors(prior, path, level, seed))
    predicted, error = (torch.cat(parts) for parts in zip(*found, strict=True))
    rows = reliability(predicted, error, bins)
    within = [float((error.abs() <= times * predicted).double().mean()) for times in (1, 2)]
    overall = {"predicted": root_mean_square(predicted), "actual": root_mean_square(error)}
    for row in [*rows, overall]:
        typer.echo(f"predicted {row['predicted']:6.2f}   actual {row['actual']:6.2f}")
    typer.echo(f"within one deviation {within[0]:.3f}, within two {within[1]:.3f}")
    figures: dict[str, Any] = {"model": model, "noise": noise, "images": len(found), "bins": rows}
    if report:
        write_json(report, figures | {"overall": overall, "within": within})
    if image:
        draw(image, rows)


if __name__ == "__main__":
    typer.run(main)
