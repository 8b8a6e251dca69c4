"""Deblurring of photos with camera noise: pixels weighted by their variances, compared with equal weights.

    python benchmarks/solvers/weighted.py --data SET12 --kernel Levin09.npz:k2 --json weighted-Set12.json

The middle of each image is blurred beyond its frame and measured with ``peak`` photons per white pixel and Gaussian
read noise. Gain and read noise are known; the signal that the weights need is estimated, as ``gradprox deblur`` does.
Both restorations know the mean variance.
"""

from __future__ import annotations

from statistics import fmean
from typing import Annotated

import torch
import typer
from deepinv.loss.metric import PSNR
from middle import read_middle
from shared_options import Data, Json, Kernel, Model
from torch import Tensor

from gradprox import load_model
from gradprox.files import write_json
from gradprox.images import EXAMPLE_IMAGE, images_in
from gradprox.noise import SignalNoise, StabilizedDenoiser, weighted_noise
from gradprox.physics import blur_of_images, gaussian_noise, poisson_noise, read_kernel
from gradprox.priors import NetworkPrior
from gradprox.solvers import WeightedL2, deblur_images, preset

PEAKS = (30, 100, 400, 2000)
READ = 2 / 255


def measured(prior: NetworkPrior, clean: Tensor, kernel: Tensor, peak: int, seed: int) -> dict[str, float]:
    """Return the PSNR of one image in dB: of the photo, and restored with equal and with other weights."""
    camera = blur_of_images("valid", kernel, (clean.shape[-2], clean.shape[-1]), 1)
    generator, noise, psnr = torch.Generator().manual_seed(seed), SignalNoise(1 / peak, READ), PSNR()
    blurred, sharp = camera.A(clean), camera.visible(clean)
    photo = poisson_noise(blurred, noise.gain, generator) + gaussian_noise(blurred, READ, generator)
    found = weighted_noise(StabilizedDenoiser(prior, noise.gain, READ)(photo), noise)
    row = {"photo": float(psnr(photo, sharp))}
    for name, fidelity in (("equal", None), ("weighted", WeightedL2(found.weights))):
        x, result = deblur_images(photo, kernel, prior, preset("deblur", found.level), fidelity=fidelity)
        if int(result.objective_increases):
            raise SystemExit("an objective rose: this is a fault of gradprox")
        row[name] = float(psnr(x, sharp))
    return row


@torch.no_grad()
def main(
    data: Data = None,
    kernel: Kernel = "motion:9:30",
    model: Model = "gray-deep",
    crop: Annotated[int, typer.Option(help="Most pixels per side of an image.")] = 128,
    json: Json = None,
) -> None:
    """Restore every photo in both ways, and print PSNR."""
    prior, blur = load_model(model), read_kernel(kernel)
    paths = images_in(data) if data else [EXAMPLE_IMAGE]
    found = {}
    for peak in PEAKS:
        rows = [measured(prior, read_middle(path, crop), blur, peak, seed) for seed, path in enumerate(paths)]
        means = {name: fmean(row[name] for row in rows) for name in rows[0]}
        changes = sorted(row["weighted"] - row["equal"] for row in rows)
        typer.echo(
            f"peak {peak}  "
            + "  ".join(f"{name} {value:.2f} dB" for name, value in means.items())
            + f"  change {changes[0]:.2f} to {changes[-1]:.2f} dB"
        )
        found[str(peak)] = {
            "mean": means,
            "images": {p.name: row for p, row in zip(paths, rows, strict=True)},
        }
    if json:
        write_json(json, {"model": model, "kernel": kernel, "crop": crop, "read": READ, "peaks": found})


if __name__ == "__main__":
    typer.run(main)
