"""Denoising of Poisson-Gaussian noise: gain and read noise against a constant noise level, all estimated.

    python benchmarks/signal_dependent_noise.py --data SET12 --json signal-dependent-noise-Set12.json

An image is measured with ``peak`` photons per white pixel and Gaussian read noise. It is denoised with
the constant level that `estimate_noise` finds, with the law that ``gradprox denoise`` chooses (gain and read noise if
they are clear, else the constant level), and with the true gain and read noise.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from gradprox import InputError, load_model
from gradprox.files import write_json
from gradprox.images import images_in, read_gray
from gradprox.images.noise_estimation import estimate_noise
from gradprox.noise import StabilizedDenoiser, estimate_gain
from gradprox.physics import gaussian_noise, poisson_noise
from gradprox.priors import NetworkPrior

PEAKS = (20, 60, 255)
READ = 2 / 255


def psnr(x: Tensor, clean: Tensor) -> float:
    """Return the PSNR in dB of an image in [0, 1]."""
    return -10 * float((x - clean).square().mean().log10())


def measured(prior: NetworkPrior, path: Path, peak: int, seed: int) -> dict[str, Any]:
    """Return the figures of one image: PSNR in dB, and the estimates."""
    clean, gain = read_gray(path), 1 / peak
    generator = torch.Generator().manual_seed(seed)
    y = poisson_noise(clean, gain, generator) + gaussian_noise(clean, READ, generator)
    constant = prior(y, estimate_noise(y))
    row: dict[str, Any] = {"name": path.name, "input": psnr(y, clean), "constant": psnr(constant, clean)}
    row["known"] = psnr(StabilizedDenoiser(prior, gain, READ)(y), clean)
    try:
        found = estimate_gain(y)
    except InputError as error:
        return row | {"estimated": row["constant"], "clear": False, "note": str(error)}
    chosen = StabilizedDenoiser(prior, found.gain, found.read)(y) if found.is_clear else constant
    return row | {
        "estimated": psnr(chosen, clean),
        "clear": found.is_clear,
        "gain": found.gain / gain,
        "read": found.read / READ,
        "signals": found.signals,
    }


@torch.no_grad()
def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    model: Annotated[str, typer.Option()] = "gray-fast",
    first: Annotated[int | None, typer.Option(help="Use only the first N images.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Measure, and print a table; gain and read are relative to the true ones."""
    prior = load_model(model)
    found: dict[str, list[dict[str, Any]]] = {}
    for peak in PEAKS:
        rows = found[str(peak)] = []
        for seed, path in enumerate(images_in(data)[:first]):
            rows.append(measured(prior, path, peak, seed))
            row = rows[-1]
            estimates = f"gain {row['gain']:.3f}, read {row['read']:.2f}" if "gain" in row else row["note"]
            typer.echo(
                f"peak {peak}, {row['name']}: constant {row['constant']:.2f}, estimated {row['estimated']:.2f}, known "
                f"{row['known']:.2f} dB; {estimates}{'' if row['clear'] else ' (not clear)'}"
            )
        means = {key: fmean(row[key] for row in rows) for key in ("input", "constant", "estimated", "known")}
        typer.echo(f"peak {peak}, mean: {', '.join(f'{key} {value:.2f}' for key, value in means.items())}")
    if report:
        write_json(report, {"model": model, "read": READ, "peaks": found})


if __name__ == "__main__":
    typer.run(main)
