"""The training loop: seeded, resumable, validated.

One step is `Trainer.denoise` or `Trainer.restore` (`trainer`). `_train` decides when to validate (`validation`) and to
save (`checkpoint`); `record` holds and writes what there is to show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from gradprox.errors import InputError
from gradprox.files import remove_leftovers
from gradprox.training.checkpoint import STATE_FILE, restore_checkpoint, save_checkpoint
from gradprox.training.data import paths_in, read_data
from gradprox.training.initial import initial_network
from gradprox.training.patches import NoisyPatchSampler, PatchSampler
from gradprox.training.recipe import Recipe
from gradprox.training.record import BEST_FILE, MODEL_FILE, Record
from gradprox.training.report_images import CHART_FILE
from gradprox.training.restoration import Restorations
from gradprox.training.run_log import CURVE_FILE, LOG_FILE, open_log
from gradprox.training.trainer import Trainer
from gradprox.training.workers import Workers, workers


@dataclass(frozen=True)
class Progress:
    """The report after each step.

    Attributes:
        step: number of finished steps.
        steps: number of steps in all.
        loss: of the last batch.
        validation: mean PSNR in dB at each noise level (in gray levels of 255), after a step with a validation. Without
            clean images: ``estimated`` or ``neighbors``, see `gradprox.training.validation.NoisyValidation`.
        gain: by how much these figures exceed those of the model that the training started from, or else of the
            quick shipped model.
    """

    step: int
    steps: int
    loss: float
    validation: dict[str, float] | None = None
    gain: dict[str, float] | None = None


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    validation: str | Path | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    patience: int | None = None,
    stop: Callable[[], bool] | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a network; return the model file.

    Every batch follows from the recipe's seed and the step. On the same processor and number of threads, a run that was
    killed and resumed therefore ends with the same bits as one that was not. Two exceptions: on a GPU the results agree
    up to rounding; with ``repeated_batches``, whose solutions are not stored, up to the tolerances. Under ``torchrun``
    the processes share each batch, and the result is that of one process up to rounding.

    Args:
        recipe: the network and how it is trained.
        data: folder of training images. They are clean, unless ``recipe.loss`` is one of noisy images.
        out: folder for ``checkpoint.safetensors``, ``run.json``, ``curve.csv`` (step, learning rate, loss) and
            ``curve.png``; with a validation also for ``best.safetensors``, the model that was best so far. At the end,
            ``model.safetensors`` and ``examples``, images before and after, join them.
        validation: folder of held-out images, clean or noisy as the training images. Clean ones are denoised whole at
            the recipe's validation levels. Without it, noisy training images are judged themselves.
        resume: go on from the checkpoint in ``out``; start if there is none.
        device: where to train.
        compiled: fuse the network's operations by ``torch.compile``: half a minute of waiting, then faster steps on a
            GPU.
        patience: stop after so many validations in a row without a new best one; the model is then the best one.
        stop: asked after every step whether to stop. The checkpoint and, without ``patience``, the model are then those
            of this step.
        report: called after every step.

    Raises:
        InputError: images are unusable; ``out`` holds a run and ``resume`` is off; that run had another recipe or other
            images; the loss is no longer finite; a batch cannot be shared evenly; the compiler fails; or ``patience``
            has no validation.
    """
    with workers(device) as group:
        if group.count > 1 and patience is not None:
            raise InputError(
                "patience: a training that may stop early runs in one process, not under torchrun"
            )
        stop = None if group.count > 1 else stop
        return _train(
            recipe, data, Path(out), validation, resume, device, compiled, patience, stop, report, group
        )


def _train(
    recipe: Recipe,
    data: str | Path,
    folder: Path,
    validation: str | Path | None,
    resume: bool,
    device: torch.device | str,
    compiled: bool,
    patience: int | None,
    stop: Callable[[], bool] | None,
    report: Callable[[Progress], None] | None,
    group: Workers,
) -> Path:
    first = group.rank == 0
    paths = paths_in(data, recipe)
    log = open_log(folder, recipe, paths, resume, device, group.count)
    if first:
        files = (STATE_FILE, LOG_FILE, CURVE_FILE, CHART_FILE, MODEL_FILE, BEST_FILE)
        remove_leftovers([folder / name for name in files])
    material = read_data(recipe, paths, validation if first else None, device)

    network = initial_network(recipe, material.images, material.levels).to(device)
    sampler = material.sampler(recipe, flips=not network.commutes_with_flips)
    restorations = _restorations(recipe, sampler, group, device)
    trainer = Trainer(network, recipe, device, group, compiled)
    start = restore_checkpoint(folder, network, trainer.optimizer, trainer.average, restorations)
    record = Record(folder, log, recipe, start, material.validation if first else None, patience, device)
    # A process that reads late would take the new log for another run's: write only when all have read.
    group.wait()
    if first:
        record.write_log()

    # Every process draws whole batches, which is cheap, and takes its share. The next batch is drawn while a GPU works.
    batch = sampler.batch(start)
    for step in range(start, recipe.steps):
        if record.is_stalled:
            break
        place = restorations.chosen(step) if restorations else None
        if restorations is None or place is None:
            own = trainer.denoise(batch, step, first_step=step == start)
        else:
            own = trainer.restore(restorations, place, step)
        batch = sampler.batch(step + 1)
        loss, finished = group.average(own), step + 1
        record.add(finished, loss)
        last = finished == recipe.steps
        measured = None
        if first and (last or finished % recipe.validate_every == 0):
            measured = record.validate(finished, loss, trainer.result)
        stopped = stop is not None and stop()
        if last or stopped or record.is_stalled or finished % recipe.checkpoint_every == 0:
            record.check_finite()
            if first:
                record.write_curve()
                save_checkpoint(folder, finished, network, trainer.optimizer, trainer.average, restorations)
                record.write_log()
        if report and first:
            report(Progress(finished, recipe.steps, loss, measured, record.gain(measured)))
        if stopped:
            break
    path = record.finish(trainer.result) if first else folder / MODEL_FILE
    group.wait()
    return path


def _restorations(
    recipe: Recipe, patches: PatchSampler | NoisyPatchSampler, group: Workers, device: torch.device | str
) -> Restorations | None:
    """Return the restorations of a training, if the recipe asks for them.

    Raises:
        InputError: several processes train; each would need restorations of its own.
    """
    if recipe.restoration is None or isinstance(patches, NoisyPatchSampler):
        return None
    if group.count > 1:
        raise InputError("restoration: a training that restores runs in one process, not under torchrun")
    return Restorations(patches, recipe.restoration, recipe.seed, device)
