"""The training loop: seeded, resumable, validated.

One step is `_Trainer.step`: a batch (`patches`), the network (`_forward`), the loss (`losses`), the change of the
weights (`updates`). `_train` decides when to validate (`validation`), to save (`checkpoint`) and to log (`run_log`).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.files import remove_leftovers
from gradprox.images import images_in
from gradprox.networks import Equilibrium, IdentityPath
from gradprox.networks.borders import extend
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.denoisers.implicit import WarmStart
from gradprox.priors import prior_of, save_network
from gradprox.training.checkpoint import STATE_FILE, restore_checkpoint, save_checkpoint
from gradprox.training.initial import initial_network
from gradprox.training.losses import image_loss
from gradprox.training.patches import Batch, PatchSampler
from gradprox.training.recipe import Recipe
from gradprox.training.restoration import Restorations
from gradprox.training.run_log import CURVE_FILE, LOG_FILE, open_log, read_curve, write_curve, write_log
from gradprox.training.stored_images import on_unit_scale, read_stored
from gradprox.training.updates import adam, average_weights, averaged_copy, learning_rate, update
from gradprox.training.validation import validate
from gradprox.training.workers import Workers, workers

MODEL_FILE = "model.safetensors"
# From noisy images, noise levels and the number of the batch to restored images.
Forward = Callable[[Tensor, Tensor, int], Tensor]
# For the derivatives of an equilibrium if a recipe gives no tolerance; outside training they are solved to rounding.
DERIVATIVE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Progress:
    """The report after each step.

    Attributes:
        step: number of finished steps.
        steps: number of steps in all.
        loss: of the last batch.
        validation: mean PSNR in dB at each noise level (in gray levels of 255), after a step with a validation.
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

    Every batch follows from the recipe's seed and the step. On the same processor and number of threads, a run that was
    killed and resumed therefore ends with the same bits as one that was not. Two exceptions: on a GPU the results agree
    up to rounding; with ``repeated_batches``, whose solutions are not stored, up to the tolerances. Under ``torchrun``
    the processes share each batch, and the result is that of one process up to rounding.

    Args:
        recipe: the network and how it is trained.
        data: folder of training images.
        out: folder for ``checkpoint.safetensors``, ``run.json``, ``curve.csv`` (step, learning rate, loss) and, at
            the end, ``model.safetensors``.
        validation: folder of held-out images, denoised whole at the recipe's validation levels.
        resume: go on from the checkpoint in ``out``; start if there is none.
        device: where to train.
        compiled: fuse the network's operations by ``torch.compile``: half a minute of waiting, then faster steps on a
            GPU.
        report: called after every step.

    Raises:
        InputError: images are unusable; ``out`` holds a run and ``resume`` is off; that run had another recipe or other
            images; the loss is no longer finite; a batch cannot be shared evenly; or the compiler fails.
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
    first, channels = group.rank == 0, recipe.network.channels
    paths = images_in(data)
    log = open_log(folder, recipe, paths, resume, device, group.count)
    if first:
        remove_leftovers([folder / name for name in (STATE_FILE, LOG_FILE, CURVE_FILE, MODEL_FILE)])
    images = [read_stored(path, channels, recipe.patch_size) for path in paths]
    held_out = images_in(validation) if validation and first else []
    held_out_images = [on_unit_scale(read_stored(path, channels))[None] for path in held_out]

    network = initial_network(recipe, images).to(device)
    sampler = PatchSampler(images, recipe, flips=not network.commutes_with_flips)
    restorations = _restorations(recipe, sampler, group, device)
    trainer = _Trainer(network, recipe, device, group, compiled)
    start = restore_checkpoint(folder, network, trainer.optimizer, trainer.average, restorations)
    # Validations after the checkpoint will be repeated.
    log["history"] = [entry for entry in log["history"] if entry["step"] <= start]
    curve = read_curve(folder)[:start]
    seconds_before, began = float(log.get("seconds", 0.0)), time.monotonic()
    # A process that reads late would take the new log for another run's: write only when all have read.
    group.wait()
    if first:
        write_log(folder, log)

    # Every process draws whole batches, which is cheap, and takes its share. The next batch is drawn while a GPU works.
    batch = sampler.batch(start)
    for step in range(start, recipe.steps):
        place = restorations.chosen(step) if restorations else None
        if restorations is None or place is None:
            own = trainer.denoise(batch, step, first_step=step == start)
        else:
            own = trainer.restore(restorations, place, step)
        batch = sampler.batch(step + 1)
        loss = group.average(own)
        curve.append((step + 1, learning_rate(recipe, step), loss))
        finished = step + 1
        last = finished == recipe.steps
        measured = None
        if held_out and (last or finished % recipe.validate_every == 0):
            measured = validate(trainer.result, held_out_images, recipe.validation_levels, device)
            log["history"].append({"step": finished, "loss": loss, "psnr": measured})
        if last or finished % recipe.checkpoint_every == 0:
            if not math.isfinite(loss):
                raise InputError(f"the loss is {loss} at step {finished}: lower the learning rate")
            log["seconds"] = seconds_before + time.monotonic() - began
            if first:
                # The curve first: resuming drops its rows beyond the checkpoint, but could not fill a gap.
                write_curve(folder, curve)
                save_checkpoint(folder, finished, network, trainer.optimizer, trainer.average, restorations)
                write_log(folder, log)
        if report and first:
            report(Progress(finished, recipe.steps, loss, measured))
    if first:
        save_network(trainer.result, folder / MODEL_FILE)
    group.wait()
    return folder / MODEL_FILE


class _Trainer:
    """A network with everything that a step changes.

    Attributes:
        optimizer: of the network's weights.
        average: a copy of the network with averaged weights, if the recipe asks for it.
    """

    def __init__(
        self,
        network: ImageNetwork,
        recipe: Recipe,
        device: torch.device | str,
        group: Workers,
        compiled: bool,
    ) -> None:
        self.network, self.recipe, self.device, self.group = network, recipe, device, group
        self.compiled = compiled
        self.forward = _forward(network, recipe, compiled)
        self.prior = prior_of(network, recipe.name)
        self.loss = image_loss(recipe.loss, recipe.loss_power, recipe.loss_gamma)
        self.optimizer = adam(network, recipe)
        self.average = averaged_copy(network, recipe)

    @property
    def result(self) -> ImageNetwork:
        """The network to validate and to save: with averaged weights, if the recipe asks for them."""
        return self.network if self.average is None else self.average

    def denoise(self, batch: Batch, step: int, *, first_step: bool) -> Tensor:
        """Take a step that denoises; return the loss of this process's share of the batch.

        Raises:
            InputError: the compiler fails, which shows in the first step.
        """
        share = self.group.share(self.recipe.batch_size)
        noisy, clean, sigma = (
            part[share].to(self.device) for part in (batch.noisy, batch.clean, batch.sigma)
        )
        mixed = self.recipe.precision == "bfloat16"
        try:
            with torch.autocast(noisy.device.type, torch.bfloat16, enabled=mixed):
                error = self.forward(noisy, sigma, batch.number) - clean
            return self._update(error, sigma, step)
        except RuntimeError as problem:
            if self.compiled and first_step:
                reason = str(problem).partition("\n")[0]
                raise InputError(f"torch.compile failed: {reason}; train without it") from problem
            raise

    def restore(self, restorations: Restorations, place: int, step: int) -> Tensor:
        """Take a step that restores, in single precision, which line searches need; return the loss."""
        x, problem = restorations.continued(place, step, self.prior)
        return self._update(x - problem.clean, x.new_full((len(x),), problem.noise), step)

    def _update(self, error: Tensor, sigma: Tensor, step: int) -> Tensor:
        """Change the weights to lower the loss of the errors, ``(B, C, P, P)``; return the loss."""
        loss = self.loss(error.float(), sigma).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(self.network)
        update(self.optimizer, self.recipe, step)
        if self.average is not None and self.recipe.ema is not None:
            average_weights(self.average, self.network, self.recipe.ema, step)
        return loss


def _restorations(
    recipe: Recipe, patches: PatchSampler, group: Workers, device: torch.device | str
) -> Restorations | None:
    """Return the restorations of a training, if the recipe asks for them.

    Raises:
        InputError: several processes train; each would need restorations of its own.
    """
    if recipe.restoration is None:
        return None
    if group.count > 1:
        raise InputError("restoration: a training that restores runs in one process, not under torchrun")
    return Restorations(patches, recipe.restoration, recipe.seed, device)


def _forward(network: ImageNetwork, recipe: Recipe, compiled: bool) -> Forward:
    """Return the function that computes the network in training.

    With repeated batches an equilibrium starts from its last solution for the same batch. A compiled identity path
    takes patches in one piece. The norm of its filters is not compiled: compilers know no complex numbers, and it is a
    small part of a step.

    Raises:
        InputError: an equilibrium is to be compiled.
    """
    if isinstance(network, Equilibrium):
        if compiled:
            raise InputError(
                "an equilibrium iterates until it converges, which cannot be compiled: train without it"
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
    if isinstance(network, IdentityPath):
        inside = torch.compile(network.inside)
        return lambda x, sigma, _: inside(extend(x, network.radius), sigma, network.bank.filters())
    whole = torch.compile(network)
    return lambda x, sigma, _: whole(x, sigma)
