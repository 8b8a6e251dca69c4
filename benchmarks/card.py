"""Ship a trained model: copy its weights into the zoo and write its card from measured figures.

Usage, after `gradprox train --recipe NAME ... --out RUN` and, for each test set and noise level,
`gradprox evaluate denoise --data SET --noise LEVEL/255 --model RUN/model.safetensors` (`--color` for a color model)
with `--json FIGURES/denoise-SET-LEVEL.json`:

    python benchmarks/card.py NAME RUN FIGURES --summary "One line on its purpose."
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from gradprox.files import write_json, written_whole
from gradprox.images import example_image
from gradprox.networks import Equilibrium, GradientNetwork
from gradprox.priors import load_network, prior_of
from gradprox.zoo.models import FOLDER, Card, load_model

GUARANTEE = (
    "The gradient of a convex function for every noise level, by construction, hence a proximal operator; "
    "symmetric and monotone at image borders too."
)

ENERGY = (
    "The gradient step of an explicit energy for every noise level, by construction: symmetric at image borders too, "
    "but not monotone. It is not a proven proximal operator; solvers descend its exact objective by line search."
)

ITERATED = (
    "The prox of an explicit weakly convex function for every noise level, by construction; the gradient of a convex "
    "function, symmetric and monotone at image borders too. Results are within a stated tolerance of the minimizer."
)


def guarantee(network: GradientNetwork) -> str:
    """Return the sentence of the card about the properties that hold by construction."""
    if not network.monotone:
        return ENERGY
    if isinstance(network, Equilibrium):
        return ITERATED
    convex = "It is nonexpansive: the prox of a convex function. " if network.lipschitz_bound() <= 1 else ""
    return convex + GUARANTEE


def hardware(machine: str, threads: int, torch: str, gpu: str | None = None, processes: int = 1) -> str:
    """Return the text of the card on the hardware of a training; ``threads`` counts those of each process."""
    several = f"{processes} processes, " if processes > 1 else ""
    return f"{several}{gpu or f'{machine}, {threads} CPU thread(s)'}, torch {torch}"


@torch.no_grad()
def relative_time(network: GradientNetwork) -> float:
    """Return the processor time of a pass over a noisy photo of 512x512 pixels, relative to that of gray-fast.

    Passes of the two take turns, so that other work of the machine affects both.
    """
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    photo = example_image().tile(1, 1, 2, 2)[..., :512, :512]
    noisy = photo + 25 / 255 * torch.randn(photo.shape, generator=generator)
    seconds: dict[str, list[float]] = {"this": [], "gray-fast": []}
    priors = {"this": prior_of(network), "gray-fast": load_model("gray-fast")}
    for _ in range(5):
        for name, prior in priors.items():
            began = time.process_time()
            prior(noisy[:, : prior.network.channels or 1], 25 / 255)
            seconds[name].append(time.process_time() - began)
    return round(min(seconds["this"]) / min(seconds["gray-fast"]), 2)


def ship(name: str, run: Path, figures: Path, summary: Annotated[str, typer.Option()]) -> None:
    """Copy the weights of a run into the zoo, write their card, and put the model's name into the files of figures."""
    log = json.loads((run / "run.json").read_text(encoding="utf-8"))
    weights = FOLDER / f"{name}.safetensors"
    with written_whole(weights) as temporary:
        shutil.copyfile(run / "model.safetensors", temporary)
    network = load_network(weights)
    psnr: dict[str, dict[str, float]] = {}
    for path in sorted(figures.glob("denoise-*-*.json"), key=lambda p: int(p.stem.rsplit("-", 1)[1])):
        _, test_set, level = path.stem.split("-")
        report = json.loads(path.read_text(encoding="utf-8"))
        psnr.setdefault(test_set, {})[level] = round(report["mean"]["psnr"], 3)
        # The figures were measured with the file of the run, which is the shipped model now.
        write_json(path, report | {"model": name})
    low, high = log["recipe"]["noise_range"]
    bound = network.lipschitz_bound()
    colors = "gray" if network.channels == 1 else "in color"
    card = Card(
        name=name,
        summary=summary,
        channels=network.channels or 1,
        guarantee=guarantee(network),
        is_prox=network.monotone,
        lipschitz_bound=bound if math.isfinite(bound) else None,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        relative_time=relative_time(network),
        noise_range=(round(255 * low, 6), round(255 * high, 6)),
        psnr=psnr,
        data=f"{log['images']['count']} photographs of BSDS500 (its train and test folders), {colors}",
        hardware=hardware(**log["hardware"]),
        training_seconds=round(log["seconds"]),
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        license="BSD-3-Clause; the training photographs are for non-commercial research",
    )
    with written_whole(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(ship)
