"""Quality and cost of denoisers: the noisy image, total variation, BM3D and the shipped models.

    python benchmarks/priors.py --data FOLDER --noise 25 --json denoisers.json
    python benchmarks/priors.py --growth --models gray

The first command restores the gray images of a folder, with the same noise for all denoisers. It reports mean PSNR and
SSIM, and seconds and peak memory per megapixel. Total variation (deepinv) has the best weight of a grid, by the mean
PSNR of these images; without the originals it could not be chosen so well. BM3D needs `pip install bm3d` and is left
out without it. The second command measures seconds and memory for images from 0.07 to 16.8 megapixels. ``share`` is the
throughput of a model relative to the throughput of a 3x3 convolution of 64 channels on the same processor.

Each denoiser runs in its own process, so that peak memory is measured separately.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import torch
import typer
from deepinv.loss.metric import PSNR, SSIM
from runtime import memory
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gradprox import load_model, model_names
from gradprox.files import write_json
from gradprox.images import images_in, read_gray
from gradprox.physics import gaussian_noise

GROWTH = (256, 512, 1024, 2048, 4096)  # pixels per side: 0.07 to 16.8 megapixels
TV_WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.8)  # multiples of sigma

Denoiser = Callable[[Tensor, float], Tensor]

loaded = functools.cache(load_model)


def denoisers(models: Sequence[str]) -> dict[str, Denoiser]:
    """Return the competitors by name; each takes an image ``(1, 1, H, W)`` and its noise level."""
    found: dict[str, Denoiser] = {"noisy": unchanged}
    found |= {f"tv {weight:g}": total_variation(weight) for weight in TV_WEIGHTS}
    if importlib.util.find_spec("bm3d"):
        found["bm3d"] = block_matching
    return found | {name: learned(name) for name in models}


def unchanged(y: Tensor, _: float) -> Tensor:
    """Return the noisy image."""
    return y


def total_variation(weight: float) -> Denoiser:
    """Return the prox of ``weight * sigma`` times the total variation, by deepinv."""

    def denoise(y: Tensor, sigma: float) -> Tensor:
        from deepinv.models import TVDenoiser

        return TVDenoiser(n_it_max=200)(y, ths=weight * sigma)

    return denoise


def block_matching(y: Tensor, sigma: float) -> Tensor:
    """Denoise by the authors' BM3D."""
    import bm3d

    return torch.from_numpy(bm3d.bm3d(y[0, 0].numpy(), sigma))[None, None].to(y)


def learned(name: str) -> Denoiser:
    """Return a shipped model, loaded when first called."""
    return lambda y, sigma: loaded(name)(y, sigma)


def flop_per_pixel(denoise: Denoiser, y: Tensor, sigma: float) -> float:
    """Return the floating-point operations of convolutions per pixel; iterative models differ between images."""
    with FlopCounterMode(display=False) as counter:
        denoise(y, sigma)
    return counter.get_total_flops() / y.numel()


def throughput() -> float:
    """Return the operations per second of the reference convolution of ``share``: the best of ten."""
    x, filters = torch.rand(1, 64, 130, 130), torch.rand(64, 64, 3, 3)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        torch.nn.functional.conv2d(x, filters)
        seconds.append(time.perf_counter() - began)
    return 2 * 64 * filters[0].numel() * 128**2 / min(seconds)


@torch.no_grad()
def measure(
    name: str, models: Sequence[str], paths: Sequence[Path], sides: Sequence[int], sigma: float, threads: int
) -> list[dict[str, float]]:
    """Denoise each image and return its figures: files, or random images with ``sides`` pixels per side."""
    torch.set_num_threads(threads)
    denoise, rows, restored, noisy = denoisers(models)[name], [], [], []
    # Loads everything that is loaded on first use, so that it is neither timed nor counted.
    denoise(torch.rand(1, 1, 64, 64), sigma)
    for index, source in enumerate([*paths, *sides]):
        clean = read_gray(source) if isinstance(source, Path) else torch.rand(1, 1, source, source)
        y = clean + gaussian_noise(clean, sigma, torch.Generator().manual_seed(index))
        before, began = memory("VmRSS"), time.perf_counter()
        x = denoise(y, sigma)
        seconds, megapixels = time.perf_counter() - began, clean.numel() / 1e6
        rows.append(
            {
                "megapixels": megapixels,
                "seconds_per_megapixel": seconds / megapixels,
                "mb_per_megapixel": (memory("VmHWM") - before) / megapixels,
            }
        )
        noisy.append(y)
        if isinstance(source, Path):
            restored.append((x, clean))
    # After the measurements, because these passes and the scores need memory too.
    if name in models:
        possible = throughput()
        for row, y in zip(rows, noisy, strict=True):
            row["flop_per_pixel"] = flop = flop_per_pixel(denoise, y, sigma)
            row["share"] = 1e6 * flop / row["seconds_per_megapixel"] / possible
    # Random images have no score.
    scores = [{"psnr": float(PSNR()(x, clean)), "ssim": float(SSIM()(x, clean))} for x, clean in restored]
    return [row | score for row, score in zip(rows, scores or [{}] * len(rows), strict=True)]


def best_weight(results: dict[str, list[dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """Keep the total variation with the highest mean PSNR."""
    tv = {name: rows for name, rows in results.items() if name.startswith("tv ")}
    best = max(tv, key=lambda name: fmean(row["psnr"] for row in tv[name]))
    return {name: rows for name, rows in results.items() if name not in tv or name == best}


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder of images")
    source.add_argument("--growth", action="store_true", help="random images of growing size instead")
    parser.add_argument("--first", type=int, default=None, help="use only the first N images, or sizes")
    parser.add_argument("--noise", type=float, default=25, help="standard deviation, of 255")
    parser.add_argument("--threads", type=int, default=1)
    gray = [name for name in model_names() if not name.startswith("color")]
    parser.add_argument("--models", nargs="*", default=gray, help="shipped models to compare")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()

    paths = list(images_in(arguments.data))[: arguments.first] if arguments.data else []
    sides = GROWTH[: arguments.first] if arguments.growth else ()
    names = list(denoisers(arguments.models)) if arguments.data else arguments.models
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    results = {}
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[name] = pool.apply(
                measure, (name, arguments.models, paths, sides, arguments.noise / 255, arguments.threads)
            )
        typer.echo(f"measured {name}", err=True)
    if arguments.data:
        results = best_weight(results)
        typer.echo(
            f"{'denoiser':<20}{'PSNR':>8}{'SSIM':>8}{'s/Mpx':>9}{'MB/Mpx':>9}{'kFLOP/px':>10}{'share':>7}"
        )
        for name, rows in results.items():
            psnr, ssim, seconds, peak = (
                fmean(row[key] for row in rows)
                for key in ("psnr", "ssim", "seconds_per_megapixel", "mb_per_megapixel")
            )
            line = f"{name:<20}{psnr:8.2f}{ssim:8.4f}{seconds:9.2f}{peak:9.0f}"
            if "share" in rows[0]:
                share = fmean(row["share"] for row in rows)
                flop = fmean(row["flop_per_pixel"] for row in rows)
                line += f"{flop / 1e3:10.1f}{share:7.0%}"
            typer.echo(line)
    else:
        typer.echo(f"{'denoiser':<20}{'Mpx':>8}{'s/Mpx':>9}{'MB/Mpx':>9}")
        for name, rows in results.items():
            for row in rows:
                typer.echo(
                    f"{name:<20}{row['megapixels']:8.2f}{row['seconds_per_megapixel']:9.2f}"
                    f"{row['mb_per_megapixel']:9.0f}"
                )
    if arguments.json:
        write_json(arguments.json, {"noise": arguments.noise, "threads": arguments.threads, "rows": results})


if __name__ == "__main__":
    main()
