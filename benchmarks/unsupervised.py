# ruff: noqa: T201
"""Training on noisy images alone, compared with training on clean ones, at equal steps.

Three cases, all with Gaussian noise of 25/255, and one noisy version of each training image:

* ``fine-tuning``: gray-fast goes on with the images of a folder, for example Set12, and is judged on these images.
* ``from-nothing``: a new network with the architecture of gray-fast, on one folder (BSDS400), judged on another one.
* ``texture``: gray-fast goes on with woven fabrics, which this script draws, and is judged on other fabrics.

    python benchmarks/unsupervised.py fine-tuning --data SET12 --judged SET12 --steps 120 --json FILE
    python benchmarks/unsupervised.py from-nothing --data BSDS400 --judged SET12 --steps 200 --json FILE
    python benchmarks/unsupervised.py texture --steps 150 --json FILE
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from deepinv.loss.metric import PSNR
from torch import Tensor

from gradprox import load_model
from gradprox.certificates import certify
from gradprox.images import images_in, read_gray
from gradprox.training import Recipe, fine_tuning, read_recipe, train, without_clean_images
from gradprox.zoo.models import recipe_path

LEVEL = 25 / 255
SIDE, TRAINED_ON, JUDGED_ON = 128, 8, 4  # of the fabrics
LOSSES = {"clean images": "mse", "noisy images, sure": "sure", "noisy images, neighbor2neighbor": "unknown"}


def fabric(seed: int) -> Tensor:
    """Return a plain weave of slanted threads, ``(1, 1, SIDE, SIDE)`` in ``[0, 1]``."""
    period, slant, shade = torch.rand(3, generator=torch.Generator().manual_seed(seed)).tolist()
    period, slant, shade = 5 + 2 * period, 0.3 * (slant - 0.5), 0.2 + 0.3 * shade
    rows, columns = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    warp, weft = (columns + slant * rows) / period, (rows - slant * columns) / period
    over = (warp.floor() + weft.floor()) % 2 == 0
    # A thread is round, and bends down where it goes under the next one.
    round_warp, round_weft = ((torch.pi * place).sin().abs() for place in (warp, weft))
    threads = torch.where(over, round_warp * (1 + round_weft) / 2, shade + (1 - shade) * round_weft)
    return (0.1 + 0.8 * threads)[None, None]


def noisy_version(clean: Tensor, seed: int) -> Tensor:
    """Return an image with noise that follows from the seed."""
    return clean + LEVEL * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))


def recipe_of(case: str, loss: str, steps: int) -> Recipe:
    """Return the recipe of a case: the same for all losses but for the noise."""
    if case == "from-nothing":
        recipe = read_recipe(recipe_path("gray-fast"))
        recipe = recipe.model_copy(update={"initial": "", "steps": steps, "batch_size": 4, "patch_size": 64})
    else:
        recipe = fine_tuning("gray-fast", steps)
    # With clean images every batch has new noise of the same level.
    recipe = recipe.model_copy(update={"noise_range": (LEVEL, LEVEL * 1.0001)})
    return recipe if loss == "mse" else without_clean_images(recipe, None if loss == "unknown" else LEVEL)


def mean_psnr(model: torch.nn.Module, judged: list[Tensor]) -> float:
    """Return the mean PSNR in dB of denoised images; the images of a training have the noise of the training."""
    with torch.no_grad():
        scores = [
            PSNR()(model(noisy_version(clean, seed), LEVEL), clean) for seed, clean in enumerate(judged)
        ]
    return float(torch.cat(scores).mean())


def main() -> None:
    """Run one case and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("case", choices=["fine-tuning", "from-nothing", "texture"])
    parser.add_argument("--data", type=Path, help="folder of clean training images, not for texture")
    parser.add_argument("--judged", type=Path, help="folder of clean images to judge on, not for texture")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)

    if options.case == "texture":
        fabrics = [fabric(seed) for seed in range(TRAINED_ON + JUDGED_ON)]
        clean, judged = fabrics[:TRAINED_ON], fabrics[TRAINED_ON:]
    else:
        clean, judged = (
            [read_gray(path) for path in images_in(folder)] for folder in (options.data, options.judged)
        )
    shipped = mean_psnr(load_model("gray-fast"), judged)
    figures = {
        "case": options.case,
        "steps": options.steps,
        "noise": LEVEL,
        "gray-fast": shipped,
        "trained": {},
    }
    print(f"gray-fast as shipped: {shipped:.2f} dB", flush=True)
    with TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in ("clean", "noisy")}
        for name, folder in folders.items():
            folder.mkdir()
            for number, image in enumerate(clean):
                image = image if name == "clean" else noisy_version(image, number)
                stored = image[0, 0].numpy()
                # Clean images come from files of 8 bits; arrays are for noisy ones.
                if name == "noisy":
                    np.save(folder / f"{number:03}.npy", stored)
                else:
                    from PIL import Image

                    Image.fromarray((stored * 255).round().astype(np.uint8)).save(folder / f"{number:03}.png")
        for name in options.losses:
            recipe, began = recipe_of(options.case, LOSSES[name], options.steps), time.monotonic()
            source = folders["clean" if LOSSES[name] == "mse" else "noisy"]
            path = train(recipe, source, Path(temporary) / name.replace(" ", "-"))
            model = load_model(path)
            points = torch.rand(1, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
            certificate = certify(load_model(path).double(), points, LEVEL)
            figures["trained"][name] = {
                "psnr": mean_psnr(model, judged),
                "seconds": round(time.monotonic() - began),
                "certified": certificate.passed,
            }
            print(f"{name}: {figures['trained'][name]}", flush=True)
            options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
