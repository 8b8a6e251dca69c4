"""The training loop: seeded, resumable, validated."""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from deepinv.loss.metric import PSNR
from torch import Tensor, nn

from gradprox.errors import InputError
from gradprox.files import remove_leftovers
from gradprox.images import images_in
from gradprox.networks import Equilibrium
from gradprox.networks.borders import extend
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.denoisers.implicit import WarmStart
from gradprox.physics import gaussian_noise
from gradprox.priors import LearnedProx, save_network
from gradprox.training.checkpoint import (
    CURVE_FILE,
    LOG_FILE,
    STATE_FILE,
    read_curve,
    read_log,
    restore_checkpoint,
    save_checkpoint,
    write_curve,
    write_log,
)
from gradprox.training.initial import initial_network
from gradprox.training.losses import image_loss
from gradprox.training.patches import Batch, PatchSampler, image_reader
from gradprox.training.recipe import Recipe
from gradprox.training.workers import Workers, workers

MODEL_FILE = "model.safetensors"
# From noisy images, noise levels and the number of the batch to restored images.
Forward = Callable[[Tensor, Tensor, int], Tensor]
# Of an equilibrium's derivatives, where a recipe does not say; outside training they are solved to rounding.
DERIVATIVE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Progress:
    """What a training reports after each step.

    Attributes:
        step: finished steps.
        steps: steps in all.
        loss: weighted squared error of the last batch.
        validation: mean PSNR in dB at each noise level (in gray levels of 255), when just measured.
    """

    step: int
    steps: int
    loss: float
    validation: dict[str, float] | None = None


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    validation: str | Path | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a network; return the model file.

    Every batch follows from the recipe's seed and the step, so a run that was killed and resumed ends, on the
    same processor with the same number of threads, with the same bits as one that was not; on a GPU, but for
    rounding, and with ``repeated_batches``, whose solutions are not stored, but for the tolerances. Under
    ``torchrun`` the processes share each batch; the result is that of one process, but for rounding.

    Args:
        recipe: what to train and how.
        data: folder of training images.
        out: folder for ``checkpoint.safetensors``, ``run.json``, ``curve.csv`` (step, learning rate, loss) and, at
            the end, ``model.safetensors``.
        validation: folder of held-out images, denoised whole at the recipe's validation levels.
        resume: go on from the checkpoint in ``out``; without one, start.
        device: where to train.
        compiled: whether ``torch.compile`` fuses the network's operations: half a minute of waiting, then faster steps
            on a GPU.
        report: called after every step.

    Raises:
        InputError: unusable images; ``out`` holds a run and ``resume`` is off; or that run had another recipe
            or other images; or the loss is no longer finite; or a batch cannot be shared evenly; or the
            compiler fails.
    """
    with workers(device) as group:
        return _train(recipe, data, Path(out), validation, resume, device, compiled, report, group)


def _train(
    recipe: Recipe,
    data: str | Path,
    folder: Path,
    validation: str | Path | None,
    resume: bool,
    device: torch.device | str,
    compiled: bool,
    report: Callable[[Progress], None] | None,
    group: Workers,
) -> Path:
    first = group.rank == 0
    paths = images_in(data)
    log = _open_log(folder, recipe, paths, resume, device, group.count)
    if first:
        remove_leftovers([folder / name for name in (STATE_FILE, LOG_FILE, CURVE_FILE, MODEL_FILE)])
    sampler = PatchSampler(paths, recipe)
    read = image_reader(recipe)
    held_out = [read(path) for path in images_in(validation)] if validation and first else []

    network = initial_network(recipe, sampler.images).to(device)
    forward = _forward(network, recipe, compiled)
    optimizer = torch.optim.Adam(
        parameter_groups(network, recipe), lr=recipe.learning_rate, betas=(0.9, 0.99)
    )
    start = restore_checkpoint(folder, network, optimizer)
    # Whatever the log says of steps after the checkpoint will be measured again.
    log["history"] = [entry for entry in log["history"] if entry["step"] <= start]
    curve = read_curve(folder)[:start]
    seconds_before, began = float(log.get("seconds", 0.0)), time.monotonic()
    # Only when all have read what was there: a process that is late would take the new log for another run's.
    group.wait()
    if first:
        write_log(folder, log)

    # Every process draws whole batches, which costs little, and takes its share; the next one while a GPU works.
    batch = sampler.batch(start)
    for step in range(start, recipe.steps):
        try:
            own = _step(network, forward, optimizer, batch, recipe, step, device, group)
        except RuntimeError as error:
            if compiled and step == start:
                reason = str(error).partition("\n")[0]
                raise InputError(f"torch.compile failed: {reason}; train without it") from error
            raise
        batch = sampler.batch(step + 1)
        loss = group.average(own)
        curve.append((step + 1, learning_rate(recipe, step), loss))
        finished = step + 1
        last = finished == recipe.steps
        measured = None
        if held_out and (last or finished % recipe.validate_every == 0):
            measured = validate(network, held_out, recipe.validation_levels, device)
            log["history"].append({"step": finished, "loss": loss, "psnr": measured})
        if last or finished % recipe.checkpoint_every == 0:
            if not math.isfinite(loss):
                raise InputError(f"the loss is {loss} at step {finished}: lower the learning rate")
            log["seconds"] = seconds_before + time.monotonic() - began
            if first:
                # The curve first: what it has beyond the checkpoint is dropped on resuming, a gap would stay.
                write_curve(folder, curve)
                save_checkpoint(folder, finished, network, optimizer)
                write_log(folder, log)
        if report and first:
            report(Progress(finished, recipe.steps, loss, measured))
    if first:
        save_network(network, folder / MODEL_FILE)
    group.wait()
    return folder / MODEL_FILE


@torch.no_grad()
def validate(
    network: ImageNetwork, images: Sequence[Tensor], levels: Sequence[float], device: torch.device | str
) -> dict[str, float]:
    """Return the mean PSNR in dB of whole denoised images at each noise level, keyed by gray levels of 255."""
    denoise, psnr = LearnedProx(network), PSNR()
    means = {}
    for level in levels:
        generator = torch.Generator().manual_seed(0)
        scores = []
        for image in images:
            noisy = image + gaussian_noise(image, level, generator)
            scores.append(float(psnr(denoise(noisy.to(device), level).cpu(), image)))
        means[f"{255 * level:g}"] = sum(scores) / len(scores)
    return means


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: a linear rise, then half a cosine down to a hundredth."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    fall = 0.01 + 0.99 * (1 + math.cos(math.pi * step / recipe.steps)) / 2
    return recipe.learning_rate * rise * fall


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the trained parameters, one group for each factor of the learning rate.

    Raises:
        InputError: no parameter has a word of the recipe in its name.
    """
    groups: dict[str, list[nn.Parameter]] = {"": [], **{word: [] for word in recipe.rate_factors}}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[next((word for word in recipe.rate_factors if word in name), "")].append(parameter)
    for word in recipe.rate_factors:
        if not groups[word]:
            raise InputError(f"rate_factors: no parameter of {recipe.name} has {word!r} in its name")
    return [
        {"params": parameters, "factor": recipe.rate_factors.get(word, 1.0)}
        for word, parameters in groups.items()
        if parameters
    ]


def _forward(network: ImageNetwork, recipe: Recipe, compiled: bool) -> Forward:
    """Return what computes the network in training.

    An equilibrium starts from what it found for the same batch the last time, if batches come again. Compiled, it
    takes patches in one piece. The filters' norm is left out: compilers know no complex numbers, and it is a small
    part of a step.
    """
    if isinstance(network, Equilibrium):
        if compiled:
            raise InputError(
                "an equilibrium iterates until it arrives, which cannot be compiled: train without it"
            )
        first, second = recipe.tolerance, recipe.derivative_tolerance
        first = network.tolerance if first is None else first
        second = DERIVATIVE_TOLERANCE if second is None else second
        if recipe.repeated_batches is None:
            return lambda x, sigma, _: network.solve(x, sigma, first, second)
        found: dict[int, WarmStart] = defaultdict(WarmStart)
        return lambda x, sigma, number: network.solve(x, sigma, first, second, found[number])
    if not compiled:
        return lambda x, sigma, _: network(x, sigma)
    inside = torch.compile(network.inside)
    return lambda x, sigma, _: inside(extend(x, network.radius), sigma, network.bank.filters())


def _step(
    network: ImageNetwork,
    forward: Forward,
    optimizer: torch.optim.Adam,
    batch: Batch,
    recipe: Recipe,
    step: int,
    device: torch.device | str,
    group: Workers,
) -> Tensor:
    """Take one step; return the loss on this process's share of the batch."""
    share = group.share(recipe.batch_size)
    noisy, clean, sigma = (part[share].to(device) for part in (batch.noisy, batch.clean, batch.sigma))
    for settings in optimizer.param_groups:
        settings["lr"] = settings["factor"] * learning_rate(recipe, step)
    mixed = recipe.precision == "bfloat16"
    with torch.autocast(noisy.device.type, torch.bfloat16, enabled=mixed):
        error = forward(noisy, sigma, batch.number) - clean
    loss = image_loss(recipe.loss, recipe.loss_power, recipe.loss_gamma)(error.float(), sigma).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    group.average_gradients(network)
    optimizer.step()
    return loss


def _open_log(
    folder: Path,
    recipe: Recipe,
    paths: Sequence[Path],
    resume: bool,
    device: torch.device | str,
    processes: int,
) -> dict[str, Any]:
    """Start a log, or take up the one in the folder if it is of the same run."""
    names = hashlib.sha256("\n".join(f"{p.name} {p.stat().st_size}" for p in paths).encode()).hexdigest()
    begun = read_log(folder)
    if begun is None:
        return {
            "recipe": recipe.model_dump(mode="json"),
            "images": {"count": len(paths), "sha256": names},
            "hardware": {
                "machine": platform.machine(),
                "processes": processes,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
            | ({"gpu": torch.cuda.get_device_name(device)} if torch.device(device).type == "cuda" else {}),
            "history": [],
        }
    if not resume:
        raise InputError(f"{folder}: holds a training run already: resume it, or choose another folder")
    if Recipe.model_validate(begun["recipe"]) != recipe:
        raise InputError(f"{folder}: was begun with another recipe: choose another folder")
    if begun["images"]["sha256"] != names:
        raise InputError(f"{folder}: was begun with other images: choose another folder")
    return begun
